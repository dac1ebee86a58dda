# systems.mk - the systems of pipelines/systems side by side: each trains for the same wall-clock time, one after the
# other, on the same pictures and machine:
#
#     make -f pipelines/systems.mk compare DATA=cifar-10-batches-bin BUDGET=10
#
# BUDGET is in minutes per system. The result is OUT/compare.md, a table, and OUT/compare.png, bits/dim over time. A
# second run continues after an interruption, trains on with a larger BUDGET, and adds new SYSTEMS to the table.
#
#   SET       pipeline that reads DATA: pipelines/SET.mk
#   SYSTEMS   names of pipelines/systems/NAME.chain
#   WIDTH     largest width of networks; COUNT, largest number of repetitions, blocks of a net and components of a
#             mixture (systems/smaller.sh). 4096 and 4096: as published
#   FLAGS     options of wf-train-level, the same for all systems
#   THAN      reference system: the table has the minutes that others need to reach its final bits/dim
SHELL = bash -o pipefail
export LC_ALL = C
.DELETE_ON_ERROR:
.DEFAULT_GOAL = compare

SET ?= cifar10
OUT ?= out/systems-$(SET)
include $(dir $(lastword $(MAKEFILE_LIST)))names.mk
BUDGET ?= 10
SYSTEMS ?= $(sort $(notdir $(basename $(wildcard $(HERE)systems/*.chain))))
WIDTH ?= 32
COUNT ?= 4
FLAGS ?= --batch 16 --decay 0.5 --ema 0.99 --flip
THAN ?= glow

.PHONY: compare FORCE $(SYSTEMS)
compare: $(SYSTEMS)
	@'$(ROOT)'/pipelines/systems.sh '$(OUT)' '$(THAN)' && cat '$(OUT)/compare.md'
FORCE:

# One after the other, so that each system has the whole machine.
.NOTPARALLEL:

# "# levels: 0" in a chain's file: the chain is for whole pictures; otherwise for the details of every level.
whole = $(shell grep -l '^\# levels: 0' $(HERE)systems/$(1).chain)
$(OUT)/%.chain: $(HERE)systems/%.chain FORCE
	@mkdir -p '$(@D)'
	@'$(ROOT)'/pipelines/systems/smaller.sh $(WIDTH) $(COUNT) < '$<' > '$@.part'
	@if cmp -s '$@.part' '$@'; then rm '$@.part'; else mv '$@.part' '$@'; fi

$(SYSTEMS): %: $(OUT)/%.chain
	@echo "$@: $(BUDGET) minutes"
	@$(MAKE) --no-print-directory -f $(HERE)$(SET).mk OUT='$(OUT)/$@' MINUTES=$(BUDGET) FLAGS='$(FLAGS)' ALSO= SAMPLES=16 \
	    $(if $(call whole,$@),DWT='--levels 0' LEVELS=0 SHARE_0=100 FLAGS_0= CHAIN_0='@$(OUT)/$@.chain', \
	    $(foreach l,$(shell seq 0 10),FLAGS_$l= CHAIN_$l='@$(OUT)/$@.chain')) > '$(OUT)/$@.log'
