# levels32.mk - the six levels of 32x32 pictures, for minutes to hours on a few cores instead of days. Many small steps
# on few pictures, and shallow nets, reach lower bits/dim in that time than the published configuration. Small levels
# have few coefficients to learn from: their nets are small and are soon done.
narrow = $(1)*(actnorm, conv1x1, affine:width=$(2):blocks=1), actnorm
FLAGS ?= --decay 0.5 --ema 0.995 --flip
LEVELS = 5 4 3 2 1 0
SHARE_5 ?= 50
CHAIN_5 ?= $(call narrow,16,64)
FLAGS_5 ?= --batch 4 --lr 6e-3
SHARE_4 ?= 30
CHAIN_4 ?= $(call narrow,16,64)
FLAGS_4 ?= --batch 8 --lr 6e-3
SHARE_3 ?= 14
CHAIN_3 ?= $(call narrow,8,32)
FLAGS_3 ?= --batch 16 --lr 4e-3
SHARE_2 ?= 3
CHAIN_2 ?= $(call narrow,6,16)
FLAGS_2 ?= --batch 32 --lr 4e-3
SHARE_1 ?= 1.5
CHAIN_1 ?= $(call narrow,6,16)
FLAGS_1 ?= --batch 64 --lr 2e-3
SHARE_0 ?= 1.5
CHAIN_0 ?= $(call narrow,6,16)
FLAGS_0 ?= --batch 64 --lr 2e-3
