# lsun_tower.mk - LSUN tower: see lsun.mk and published.mk
SCENE = tower
include $(dir $(lastword $(MAKEFILE_LIST)))lsun.mk
