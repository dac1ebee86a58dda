# wavelets.mk - the same flows over different wavelets: equal steps, several seeds, the same pictures:
#
#     make -f pipelines/wavelets.mk compare DATA=cifar-10-batches-bin
#
# The result is OUT/compare.md: bits/dim of each level and in total, as mean over seeds and half of their range. A step
# costs the same with every wavelet, so equal steps are an equal budget on any machine. A second run continues after an
# interruption and adds more WAVELETS, SEEDS or STEPS.
#
#   SET      pipeline that reads DATA: pipelines/SET.mk
#   STEPS    of training at every level;   CHAIN, FLAGS  flow and options of wf-train-level, the same for all
SHELL = bash -o pipefail
export LC_ALL = C
.DEFAULT_GOAL = compare

SET ?= cifar10
OUT ?= out/wavelets-$(SET)
include $(dir $(lastword $(MAKEFILE_LIST)))names.mk
WAVELETS ?= haar db2 db3 db4 sym4 coif1
SEEDS ?= 1 2 3
STEPS ?= 2500
CHAIN ?= 8*(actnorm, conv1x1, affine:width=32:blocks=3), actnorm
FLAGS ?= --batch 16 --lr 4e-3 --decay 0.5 --ema 0.99

runs := $(foreach seed,$(SEEDS),$(WAVELETS:%=%-$(seed)))
.PHONY: compare $(runs)
.NOTPARALLEL:
compare: $(runs)
	@awk -f '$(ROOT)/pipelines/wavelets.awk' $(foreach w,$(WAVELETS),$(SEEDS:%='$(OUT)/$w-%'/bpd-*.tsv)) > '$(OUT)/compare.md' && \
	    cat '$(OUT)/compare.md'

# Time does not limit training. Pictures, patience and order depend on the seed alone.
wavelet = $(firstword $(subst -, ,$@))
seed = $(lastword $(subst -, ,$@))
$(runs):
	@echo "$(wavelet), seed $(seed): $(STEPS) steps a level"
	@mkdir -p '$(OUT)'
	@$(MAKE) --no-print-directory -f $(HERE)$(SET).mk OUT='$(OUT)/$@' SEED=$(seed) MINUTES=100000 ALSO= SAMPLES=16 DWT='-w $(wavelet)' \
	    FLAGS='$(FLAGS) --steps $(STEPS) --validate-every $(shell expr $(STEPS) / 10)' \
	    $(foreach l,$(shell seq 0 10),FLAGS_$l= CHAIN_$l='$(CHAIN)') > '$(OUT)/$@.log'
