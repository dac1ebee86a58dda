# faces.mk - shared by celeba_hq.mk and ffhq.mk: 1024x1024 pictures unchanged; the last HELD are held out
OUT ?= out/$(NAME)
DATA ?= data/$(NAME)
SIDE = 1024
WIDTHS = 64 64 64 128 128 128 128 128 128 128 128
PATCH_6 = 16
$(foreach l,7 8 9 10,$(eval PATCH_$l = 32))
HELD ?= 1000
# The pictures of a folder, sorted by name: all except the last HELD, or these.
names = find -L '$(DATA)' -name '*.png' -o -name '*.jpg' | LC_ALL=C sort
pictures-train = $(names) | head -n -$(HELD)
pictures-val = $(names) | tail -n $(HELD)
pictures-real = $(names) | tail -n $(HELD)
DWT = --files-from -
include $(dir $(lastword $(MAKEFILE_LIST)))published.mk
fetch:
	$(call by_hand,$(PAGE))
