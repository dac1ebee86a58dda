# lsun.mk - shared by the pipelines of LSUN (Yu et al. 2015). As in the paper, SCENE's pictures are resized to 96x96,
# cropped to 64x64 at random places and mirrored at random. DATA has LSUN's own LMDBs, SCENE_train_lmdb and
# SCENE_val_lmdb: see published.mk.
DATA ?= data/lsun
OUT ?= out/lsun_$(SCENE)
SIDE = 64
WIDTHS = 16 64 64 64 64 128 256
PATCH_5 = 8
PATCH_6 = 16
DWT = --crop 256x256 --resize 96x96 --random-crop 64x64 --skip-bad 1000
paths-train = $(wildcard $(DATA)/$(SCENE)_train_lmdb)
paths-val = $(wildcard $(DATA)/$(SCENE)_val_lmdb)
FLIP = --flip
include $(dir $(lastword $(MAKEFILE_LIST)))published.mk
fetch:
	$(call fetched,$(SCENE)_train_lmdb.zip,http://dl.yf.io/lsun/scenes/$(SCENE)_train_lmdb.zip)
	$(call fetched,$(SCENE)_val_lmdb.zip,http://dl.yf.io/lsun/scenes/$(SCENE)_val_lmdb.zip)
	cd '$(DATA)' && unzip -n $(SCENE)_train_lmdb.zip && unzip -n $(SCENE)_val_lmdb.zip
