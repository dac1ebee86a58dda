# leaves.mk - the small model that comes with the programs, data/leaves: make -f pipelines/leaves.mk
#
# Trains on generated pictures until each level has its steps, about ten minutes of one core, however busy the machine is.
# OUT= and JOBS= can be set. The result is $(OUT)/leaves; `cp out/leaves/leaves/* data/leaves` puts it in its place.
OUT ?= out/leaves
include $(dir $(lastword $(MAKEFILE_LIST)))names.mk
EVAL = test
COUNT = 40000
HELD = 2000
SIDE = 32
pictures-train = $(DEADLEAVES) -n $(COUNT) -s $(SIDE) --seed 1
pictures-val = $(DEADLEAVES) -n $(HELD) -s $(SIDE) --seed 2
pictures-test = $(DEADLEAVES) -n $(HELD) -s $(SIDE) --seed 3
pictures-real = $(DEADLEAVES) -n $(SAMPLES) -s $(SIDE) --seed 3

# Steps end the training, not minutes; a share of 1 % of the cores is one thread.
MINUTES = 0
LEVELS = 5 4 3 2 1 0
$(foreach l,$(LEVELS),$(eval SHARE_$l = 1))
FLAGS = --precision fp32 --decay 0.5 --ema 0.998 --flip
flow = $(1)*(actnorm, conv1x1, affine:width=$(2):blocks=1), actnorm
CHAIN_5 = cond:channels=24:width=48:blocks=3, $(call flow,8,32)
FLAGS_5 = --steps 12000 --batch 4 --lr 6e-3
CHAIN_4 = cond:channels=24:width=48:blocks=3, $(call flow,12,32)
FLAGS_4 = --steps 14000 --batch 8 --lr 6e-3
CHAIN_3 = cond:channels=16:width=32:blocks=2, $(call flow,8,32)
FLAGS_3 = --steps 14000 --batch 16 --lr 4e-3
CHAIN_2 = $(call flow,8,24)
FLAGS_2 = --steps 10000 --batch 32 --lr 4e-3
CHAIN_1 = $(call flow,6,16)
FLAGS_1 = --steps 8000 --batch 64 --lr 2e-3
CHAIN_0 = $(call flow,6,16)
FLAGS_0 = --steps 5000 --batch 64 --lr 2e-3

include $(HERE)common.mk

# The note on the card: what the pictures are, and bits/dim of pictures that chose nothing.
define NOTE
The pictures show overlapping discs, the dead leaves model of Lee, Mumford and Huang (IJCV 41, 2001), the simplest with the statistics
of natural images. They come from `build/deadleaves`: $(COUNT) of seed 1 to train on, mirrored half of the time, and $(HELD) of seed 2,
which chose the best weights of each level. On $(HELD) of seed 3, before weights were rounded, bits/dim are
$(shell LC_ALL=C awk -F '\t' '$$1 == "total" { printf $$4 == "-" ? "%.3f" : "%.3f +- %.3f", $$3, $$4 }' '$(OUT)/bpd-test.tsv').

It is a toy, to try the programs with: samples have the colours, edges and overlaps, but few of the large discs and round outlines. `make -f pipelines/leaves.mk` in the programs' source makes it again.
endef
all: $(OUT)/leaves
$(OUT)/leaves: $(OUT)/bpd-test.tsv
	$(file > $(OUT)/note.md,$(NOTE))
	@rm -rf '$@' && wf-export -q -m '$(OUT)/model' -o '$@' --precision f16 --licence MIT --card-note '$(OUT)/note.md'
