# grain.mk - how far the fine detail that chains draw agrees over a distance, on textured leaves: equal time, several seeds:
#
#     make build/deadleaves build/coherence && make -f pipelines/grain.mk compare
#
# Each chain trains the finest level of 64x64 leaves, whose discs have a grain of their own (deadleaves --grain). It then draws
# details on true low-pass pictures. The result is OUT/compare.md: bits/dim of the level and correlations of the grain in one
# disc, as mean over seeds and half of their range. OUT/compare.png has rows of data, of the first chain and of the last. A second
# run continues after an interruption and adds more CHAINS or SEEDS.
#
#   CHAINS   names; flow-NAME is the chain, steps-NAME its steps: as many as one core makes in 60 seconds
#   JOBS     trainings at once, one thread each
SHELL = bash -o pipefail
export LC_ALL = C
.DEFAULT_GOAL = compare
.DELETE_ON_ERROR:
.SECONDARY:
OUT ?= out/grain
include $(dir $(lastword $(MAKEFILE_LIST)))names.mk
SEEDS ?= 1 2 3
JOBS ?= $(shell nproc)
CHAINS ?= official default glow haar pyramid inner
COUNT ?= 8000
HELD ?= 500
DRAWN ?= 300
SHOWN ?= 8
FLAGS ?= --batch 4 --lr 4e-3 --decay 0.5 --ema 0.995

# The published level and that of --minutes 2, both made to fit the time
steps-official = 1542
flow-official = 16*(actnorm, conv1x1, affine:width=16:blocks=3), actnorm
steps-default = 1009
flow-default = cond:channels=16:width=48:blocks=2, 12*(actnorm, conv1x1, affine:width=48:blocks=1), actnorm
# Details at half of their size and after that: Glow's levels, and one Haar transform
glow = $(1)*(actnorm, conv1x1, affine:net=glow:width=64:scale=sigmoid)
steps-glow = 1100
flow-glow = squeeze, $(call glow,4), split, squeeze, $(call glow,4), split, squeeze, $(call glow,4), actnorm
steps-haar = 9917
flow-haar = haar, 4*(actnorm, conv1x1, affine:width=32:blocks=1), actnorm
# A pyramid within the level: `finer` models three quarters of the details of a scale, given the fourth, and leaves the fourth
finer = haar, actnorm, affine:width=32:blocks=1:scale=exp, split, affine:width=32:blocks=1:scale=exp, split
features = cond:channels=8:width=32:blocks=2
steps-pyramid = 5440
flow-pyramid = $(features), 4*($(finer)), haar, actnorm, conv1x1, affine:width=32:blocks=1:scale=exp, actnorm
# At 8x8 all pixels see one another
far = actnorm, conv1x1, ar:order=$(1):width=48:blocks=2
steps-inner = 4580
flow-inner = $(features), 2*($(finer)), $(call far,forth), $(call far,back), actnorm

measure := $(dir $(generator))coherence
COHERENCE = $(if $(wildcard $(measure)),,$(error $(measure) is not built: make $(measure)))'$(abspath $(measure))'
leaves = $(DEADLEAVES) -q -s 64 --radius 10 --grain 10
runs := $(foreach seed,$(SEEDS),$(CHAINS:%=%-$(seed)))

.PHONY: compare train
compare: $(OUT)/compare.png
	@cat '$(OUT)/compare.md'
$(OUT)/compare.md: FORCE $(OUT)/data/coherence.tsv
	@$(MAKE) --no-print-directory -j $(JOBS) -f $(HERE)grain.mk train
	@awk -f '$(ROOT)/pipelines/grain.awk' '$(OUT)/data/coherence.tsv' \
	    $(foreach c,$(CHAINS),$(foreach seed,$(SEEDS),'$(OUT)/$c-$(seed)/bpd.tsv' '$(OUT)/$c-$(seed)/coherence.tsv')) > '$@'
.PHONY: FORCE
FORCE:
$(OUT)/compare.png: $(OUT)/compare.md
	@wf-view -q -n $(SHOWN) '$(OUT)/test.store' -o '$(OUT)/row-1.wf'
	@wf-view -q -l 0-5 '$(OUT)/row-1.wf' | wf-sample -q --threads 1 -m '$(OUT)/$(firstword $(CHAINS))-$(firstword $(SEEDS))' -o '$(OUT)/row-2.wf'
	@wf-view -q -l 0-5 '$(OUT)/row-1.wf' | wf-sample -q --threads 1 -m '$(OUT)/$(lastword $(CHAINS))-$(firstword $(SEEDS))' -o '$(OUT)/row-3.wf'
	@wf-view -q '$(OUT)'/row-[123].wf | wf-idwt -q --columns $(SHOWN) --grid '$@'
train: $(runs:%=$(OUT)/%/coherence.tsv)

$(OUT)/train.store: count = $(COUNT)
$(OUT)/train.store: seed = 1
$(OUT)/test.store: count = $(HELD)
$(OUT)/test.store: seed = 2
$(OUT)/train.store $(OUT)/test.store:
	@mkdir -p '$(@D)' && rm -rf '$@.part'
	@$(leaves) -n $(count) --seed $(seed) | wf-dwt -q -o '$@.part' && mv '$@.part' '$@'
$(OUT)/data/coherence.tsv: $(OUT)/test.store
	@mkdir -p '$(@D)'
	@wf-view -q -l 6 -n $(DRAWN) '$<' | $(COHERENCE) > '$@'

chain = $(firstword $(subst -, ,$(notdir $(@D))))
seed-of = $(lastword $(subst -, ,$(notdir $(@D))))
$(OUT)/%/coherence.tsv: $(OUT)/train.store $(OUT)/test.store
	@echo '$*: $(steps-$(chain)) steps'
	@wf-train-level -q -l 6 -m '$(@D)' -s '$(OUT)/train.store' -f '$(flow-$(chain))' --steps $(steps-$(chain)) --seed $(seed-of) \
	    --threads 1 --precision fp32 --val none $(FLAGS)
	@wf-view -q -l 6 '$(OUT)/test.store' | wf-bpd -q --threads 1 -m '$(@D)' > '$(@D)/bpd.tsv'
	@wf-view -q -l 0-5 -n $(DRAWN) '$(OUT)/test.store' | wf-sample -q --threads 1 --seed $(seed-of) -m '$(@D)' | $(COHERENCE) > '$@'
