# common.mk - pictures to coefficient stores to one flow per level to bits per dimension, samples and curves.
#
# A pipeline sets the variables below and includes this file. Everything lands in $(OUT): train.store, val.store and one
# store per name in EVAL, model/, bpd-NAME.tsv, real.png, samples.png, curves.png, curve.png. Every step can be
# interrupted and run again: finished steps are skipped, a store is continued, training resumes. Pictures that are read
# or cut in another way are converted again; other training pictures or another SEED want another OUT, since training
# refuses to go on with what others began.
#
#   paths-NAME      files and folders with the pictures of NAME: train, val, each of EVAL, and real for real.png; or
#   pictures-NAME   a shell command that prints them
#   EVAL            names to evaluate
#   LEVELS          levels from the longest to train to the shortest, so that no core idles at the end
#   SHARE_L         per cent of the core time for level L
#   CHAIN_L         flow of level L;   FLAGS_L   its further options of wf-train-level
#   MINUTES         wall-clock minutes of training in total;   JOBS   cores
#   DWT, FLAGS      options of wf-dwt, and of wf-train-level at all levels
#   REFERENCES      what others reach, drawn into curve.png: see curves.sh
#
# The target report goes further: see report.mk.
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

# What depends on a text is made again only when the text has changed: $(call keep,COMMAND;) moves FILE.part to FILE if
# they differ, after COMMAND.
keep = if cmp -s $@.part $@; then rm $@.part; else $(1) mv $@.part $@; fi
.PHONY: FORCE
FORCE:
$(OUT):
	@mkdir -p $@

# $(call dwt,NAME,OPTIONS): the command that transforms the pictures of NAME.
dwt = $(if $(paths-$(1)),wf-dwt $(2) $(paths-$(1)),{ $(pictures-$(1)); } | wf-dwt $(2))

# Pictures that were read in another way: with another one, what was begun of a store is of no use.
$(OUT)/%.command: FORCE | $(OUT)
	$(file > $@.part,$(call dwt,$*,$(DWT)))
	@$(call keep,rm -rf $(OUT)/$*.store.part;)

# A store under its own name is sealed; one that was interrupted, maybe when it was sealed already, goes on under .part.
$(OUT)/%.store: $(OUT)/%.command
	@echo "$*: pictures to coefficients"
	@wf-info $@.part > $@.info 2>&1 || $(call dwt,$*,-q $(DWT) -o $@.part)
	@rm -rf $@ $@.info && mv $@.part $@

# One line a level: level, minutes, threads, chain, further options.
$(OUT)/plan.tsv: FORCE | $(OUT)
	@{ $(foreach l,$(LEVELS),printf '%s\t%s\t%s\t--seed $(SEED) %s\n' '$(l)' '$(SHARE_$(l))' '$(CHAIN_$(l))' '$(FLAGS) $(FLAGS_$(l))';) } | \
	    awk -F '\t' -v minutes=$(MINUTES) -v jobs=$(JOBS) -f $(ROOT)/pipelines/plan.awk > $@.part
	@$(call keep)

$(OUT)/trained: $(OUT)/plan.tsv $(OUT)/train.store $(OUT)/val.store
	@train.sh $(OUT) $(JOBS)
	@touch $@

$(OUT)/bpd-%.tsv: $(OUT)/%.store $(OUT)/trained
	@echo "$*: bits per dimension"
	@wf-bpd -q -m $(OUT)/model -s $< > $@.part && mv $@.part $@

$(OUT)/real.png: $(OUT)/real.command
	@(set +o pipefail; $(call dwt,real,-q $(DWT) --count $(SAMPLES)) | wf-idwt -q --grid $@)

$(OUT)/samples.png: $(OUT)/trained
	@echo "samples"
	@wf-sample -q -m $(OUT)/model -n $(SAMPLES) --seed $(SEED) | wf-idwt -q --grid $@

$(OUT)/curves.png $(OUT)/curve.png &: $(OUT)/trained $(REFERENCES)
	@curves.sh $(OUT) $(REFERENCES)

include $(ROOT)/pipelines/report.mk
