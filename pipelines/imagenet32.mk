# imagenet32.mk - downsampled ImageNet at 32x32; otherwise like imagenet64.mk
OUT ?= out/imagenet32
SIDE = 32
WIDTHS = 128 128 128 128 128 256
PATCH_5 = 8
include $(dir $(lastword $(MAKEFILE_LIST)))imagenet.mk
