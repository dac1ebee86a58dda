# ffhq.mk - FFHQ (Karras et al. 2019) at 1024x1024. DATA is images1024x1024 with its 70,000 PNGs: see published.mk. As
# in the paper, the last 10,000 are held out.
NAME = ffhq
HELD ?= 10000
PAGE = https://github.com/NVlabs/ffhq-dataset
include $(dir $(lastword $(MAKEFILE_LIST)))faces.mk
