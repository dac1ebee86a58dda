# imagenet64.mk - downsampled ImageNet at 64x64 (van den Oord et al. 2016), unchanged: 1,281,149 pictures, 49,999 held
# out. DATA has train_64x64 and valid_64x64, folders or .tar of PNG, or train_data_batch_*.npz and val_data.npz: see
# published.mk.
OUT ?= out/imagenet64
SIDE = 64
WIDTHS = 128 128 128 128 128 256 256
PATCH_5 = 8
PATCH_6 = 16
include $(dir $(lastword $(MAKEFILE_LIST)))imagenet.mk
