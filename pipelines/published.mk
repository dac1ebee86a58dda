# published.mk - the official configuration of a data set (arXiv 2010.13821 and its code) for pictures of SIDE pixels:
# one flow per level, batches of 64, Adamax at 1e-3, training patches as published. A pipeline sets SIDE, WIDTHS (of the
# coupling nets, level 0 first) and the variables of common.mk, and includes this file.
#
# MINUTES is the time to spend: the published 5 million steps per level take weeks on one GPU. QUICK=1 only shows that
# all steps work, in seconds with tiny nets.
#
#   make -f pipelines/X.mk fetch DATA=FOLDER      fetches the pictures, or says where to get them
#   make -f pipelines/X.mk DATA=FOLDER            stores, levels, bits/dim, samples at T = 1 and T = 0.97, curves
#   ... BACKEND=cuda:0, JOBS=4, SSHLOGIN=host1,host2 (see train.sh)
include $(dir $(lastword $(MAKEFILE_LIST)))names.mk
LEVELS := $(shell seq $$(LC_ALL=C awk 'BEGIN { print int(log($(SIDE)) / log(2) + 0.5) }') -1 0)
TOP := $(firstword $(LEVELS))
ifdef QUICK
MINUTES ?= 0.1
SAMPLES ?= 4
DWT += --count 32
FLAGS ?= --batch 4 $(FLIP)
NUTS ?= --adapt 2 --draws 1 --max-depth 2
$(foreach l,$(LEVELS),$(eval CHAIN_$l ?= $$(call official,1,8)))
else
MINUTES ?= 10080
FLAGS ?= --backend $(or $(BACKEND),auto) $(FLIP)
$(foreach l,$(LEVELS),$(eval CHAIN_$l ?= $$(call official,$(if $(filter 0 1,$l),8,16),$$(word $(shell expr $l + 1),$(WIDTHS)))))
endif
# Work grows fourfold per level up to the size of the patches, and small levels have little to learn.
SMALL = $(wordlist 4,99,$(LEVELS))
$(foreach l,$(wordlist 1,3,$(LEVELS)),$(eval SHARE_$l ?= 25))
$(foreach l,$(SMALL),$(eval SHARE_$l ?= $(shell LC_ALL=C awk 'BEGIN { print 25 / $(words $(SMALL)) }')))
$(foreach l,$(LEVELS),$(eval FLAGS_$l ?= $(if $(PATCH_$l),--patch $(PATCH_$l))))

# $(call fetched,FILE,URL,ALGORITHM,SUM): downloads FILE into DATA unless it is there, and checks its sum.
define fetched
	@mkdir -p '$(DATA)'
	[ -e '$(DATA)/$(1)' ] || { curl -fL -C - -o '$(DATA)/$(1).part' '$(2)' && mv '$(DATA)/$(1).part' '$(DATA)/$(1)'; }
	$(if $(4),cd '$(DATA)' && echo '$(4)  $(1)' | $(3)sum -c -)
endef
# $(call by_hand,PAGE): for data that need an account or a browser.
by_hand = @echo 'fetch: an account or a browser is asked for: get the pictures from $(1), then give DATA=FOLDER' >&2; exit 66

EVAL ?= val
paths-real ?= $(paths-val)
ifeq ($(and $(or $(paths-train),$(pictures-train)),$(or $(paths-val),$(pictures-val))),)
ifeq ($(filter fetch,$(MAKECMDGOALS)),)
$(error no pictures in '$(DATA)': give DATA=FOLDER, or make fetch)
endif
endif
SHARPER = 0.97
include $(dir $(lastword $(MAKEFILE_LIST)))common.mk

.PHONY: fetch
all: $(OUT)/samples-$(SHARPER).png
# Annealed samples, as in the paper: NUTS at every level.
$(OUT)/samples-$(SHARPER).png: $(OUT)/trained
	@echo "samples at T = $(SHARPER)"
	@wf-nuts -q -m '$(OUT)/model' -n $(SAMPLES) --seed $(SEED) -T $(SHARPER) $(NUTS) | wf-idwt -q --grid '$@'
