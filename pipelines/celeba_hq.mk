# celeba_hq.mk - CelebA-HQ (Karras et al. 2018) at 1024x1024. DATA is a folder with its 30,000 PNGs: see published.mk.
NAME = celeba_hq
PAGE = https://github.com/tkarras/progressive_growing_of_gans
include $(dir $(lastword $(MAKEFILE_LIST)))faces.mk
