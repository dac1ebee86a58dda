# common.mk - pictures to coefficient stores to one flow per level to bits per dimension, samples and curves.
#
# A pipeline sets the variables below and includes this file. Everything lands in $(OUT): train.store, val.store and one
# store per name in EVAL, model/, bpd-NAME.tsv, real.png, samples.png, curves.png, curve.png. Every step can be
# interrupted and run again: finished steps are skipped, a store is continued, training resumes.
#
#   pictures-NAME   shell command that prints the pictures of NAME: train, val, each of EVAL, and real for real.png
#   EVAL            names to evaluate
#   LEVELS          levels from the longest to train to the shortest, so that no core idles at the end
#   SHARE_L         per cent of the core time for level L
#   CHAIN_L         flow of level L;   FLAGS_L   its further options of wf-train-level
#   MINUTES         wall-clock minutes of training in total;   JOBS   cores
#   DWT, FLAGS      options of wf-dwt, and of wf-train-level at all levels
#   REFERENCES      what others reach, drawn into curve.png: see curves.sh
SHELL = bash -o pipefail
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL = all

ROOT := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))..)
BIN ?= bin
B ?= build
export PATH := $(ROOT)/$(BIN):$(ROOT)/pipelines:$(PATH)
JOBS ?= $(shell nproc)
SAMPLES ?= 64
SEED ?= 1

# $(call official,STEPS,WIDTH): the official step with another depth and width
official = $(1)*(actnorm, conv1x1, affine:width=$(2):blocks=3), actnorm

.PHONY: all
all: $(EVAL:%=$(OUT)/bpd-%.tsv) $(OUT)/real.png $(OUT)/samples.png $(OUT)/curves.png $(OUT)/curve.png
	@for name in $(EVAL); do echo "bits per dimension on $$name:"; expand -t 14 $(OUT)/bpd-$$name.tsv; done
	@echo "everything is in $(OUT)"

# A store under its own name is sealed; one that was interrupted goes on under .part.
$(OUT)/%.store:
	@mkdir -p $(OUT)
	@echo "$*: pictures to coefficients"
	@{ $(pictures-$*); } | wf-dwt -q $(DWT) -o $@.part --append && mv $@.part $@

# One line a level: level, minutes, threads, chain, further options. Only a change of it trains again.
$(OUT)/plan.tsv: FORCE
	@mkdir -p $(OUT)
	@{ $(foreach l,$(LEVELS),printf '%s\t%s\t%s\t%s\n' '$(l)' '$(SHARE_$(l))' '$(CHAIN_$(l))' '$(FLAGS) $(FLAGS_$(l))';) } | \
	    awk -F '\t' -v minutes=$(MINUTES) -v jobs=$(JOBS) -f $(ROOT)/pipelines/plan.awk > $@.part
	@if cmp -s $@.part $@; then rm $@.part; else mv $@.part $@; fi
.PHONY: FORCE
FORCE:

$(OUT)/trained: $(OUT)/plan.tsv $(OUT)/train.store $(OUT)/val.store
	@train.sh $(OUT) $(JOBS) $(SEED)
	@touch $@

$(OUT)/bpd-%.tsv: $(OUT)/%.store $(OUT)/trained
	@echo "$*: bits per dimension"
	@wf-bpd -q -m $(OUT)/model -s $< > $@.part && mv $@.part $@

$(OUT)/real.png:
	@mkdir -p $(OUT)
	@{ $(pictures-real); } | wf-dwt -q $(DWT) | wf-idwt -q --grid $@

$(OUT)/samples.png: $(OUT)/trained
	@echo "samples"
	@wf-sample -q -m $(OUT)/model -n $(SAMPLES) --seed $(SEED) | wf-idwt -q --grid $@

$(OUT)/curves.png $(OUT)/curve.png &: $(OUT)/trained
	@curves.sh $(OUT) $(REFERENCES)
