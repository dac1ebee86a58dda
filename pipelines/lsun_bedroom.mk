# lsun_bedroom.mk - LSUN bedroom: see lsun.mk and published.mk
SCENE = bedroom
include $(dir $(lastword $(MAKEFILE_LIST)))lsun.mk
