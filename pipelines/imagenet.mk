# imagenet.mk - shared by imagenet32.mk and imagenet64.mk: the places of the pictures
DATA ?= data/imagenet$(SIDE)
there = $(sort $(wildcard $(addprefix $(DATA)/,$(1))))
paths-train = $(call there,train_$(SIDE)x$(SIDE) train_$(SIDE)x$(SIDE).tar train_data_batch_*.npz)
paths-val = $(call there,valid_$(SIDE)x$(SIDE) valid_$(SIDE)x$(SIDE).tar val_data.npz)
include $(dir $(lastword $(MAKEFILE_LIST)))published.mk
fetch:
	$(call by_hand,https://image-net.org/download-images (Downsampled ImageNet))
