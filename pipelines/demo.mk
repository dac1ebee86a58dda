# demo.mk - all steps on generated pictures, without data or network: `make demo`, at most 6 minutes on two cores.
# QUICK=1 takes seconds, for tests. OUT=, MINUTES=, JOBS= and SEED= can be set.
OUT ?= out/demo
include $(dir $(lastword $(MAKEFILE_LIST)))names.mk
EVAL = val
pictures-val = $(DEADLEAVES) -n $(HELD) -s $(SIDE) --seed 2
pictures-train = $(DEADLEAVES) -n $(COUNT) -s $(SIDE) --seed 1
pictures-real = $(DEADLEAVES) -n $(SAMPLES) -s $(SIDE) --seed 2

ifdef QUICK
SIDE = 8
COUNT = 256
HELD = 64
SAMPLES = 16
MINUTES = 0.2
LEVELS = 3 2 1 0
SHARE_3 = 25
SHARE_2 = 25
SHARE_1 = 25
SHARE_0 = 25
$(foreach l,$(LEVELS),$(eval CHAIN_$l = $$(call official,2,16)))
else
SIDE = 32
COUNT = 4000
HELD = 500
MINUTES ?= 4
include $(dir $(lastword $(MAKEFILE_LIST)))levels32.mk
endif

include $(dir $(lastword $(MAKEFILE_LIST)))common.mk
