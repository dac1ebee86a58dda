# lsun_church.mk - LSUN church_outdoor: see lsun.mk and published.mk
SCENE = church_outdoor
OUT ?= out/lsun_church
include $(dir $(lastword $(MAKEFILE_LIST)))lsun.mk
