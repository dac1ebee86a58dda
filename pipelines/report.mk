# report.mk - `make -f PIPELINE.mk report`: one page of pictures that shows what a model has learnt. common.mk includes
# it.
#
# $(OUT)/report.html shows the pictures with tables and curves, in a single file. $(OUT)/report/ keeps each picture, the
# command that made it, to be run in $(OUT) (NAME.command), and the command's messages (NAME.log). A changed command
# makes its picture again.
#
#   FIGURES       the pictures to make;   TABLES   of distances: training pictures nearest to samples and to real ones
#   pictures-held-out   a shell command that prints pictures to compare with, those of `real` by default
#   REAL          what these are, in words;   SHOWN   what figure-real shows
#   ROWS          pictures per figure; grids have SAMPLES instead, and the sweeps over
#   TEMPERATURES  with CHAINS pictures at each;   ADAPT, DRAWS  draws of a chain: those that adapt, and those after
#   FACTORS       of super-resolution, powers of two;   CONTINUED  draws from each low-resolution picture
#   NEIGHBOURS    training pictures beside each sample
#   CELL          approximate width of a picture in pixels
FIGURES ?= samples real levels temperatures scaling super nearest
TABLES ?= nearest-samples nearest-real
REAL ?= held-out pictures
SHOWN ?= $(REAL)
pictures-held-out ?= $(pictures-real)
ROWS ?= 6
TEMPERATURES ?= 1 0.97 0.9 0.8
CHAINS ?= 4
ADAPT ?= 10
DRAWS ?= 30
FACTORS ?= 2 4 8
CONTINUED ?= 2
NEIGHBOURS ?= 8
CELL ?= 96

report = $(OUT)/report

# The model's wavelet and its shape, H W levels, once the model exists.
wavelet = $(shell sed -n 's/.*"wavelet": "\([a-z0-9]*\)".*/\1/p' '$(OUT)/model/wf.json')
shape = $(shell sed -n 's/.*"levels": \([0-9]*\).*"shape": \[\([0-9]*\), \([0-9]*\).*/\2 \3 \1/p' '$(OUT)/model/wf.json')
sizes = $(shell set -- $(shape); for l in $$(seq $$3 -1 0); do echo $$(($$1 >> l))x$$(($$2 >> l)); done)
zoom = $(shell set -- $(shape); echo $$(($(CELL) > $$2 ? $(CELL) / $$2 : 1)))
empty =
comma = ,
listed = $(subst $(empty) $(empty),$(comma),$(strip $(1)))

beside = sample $(shell seq $(NEIGHBOURS))

sample = wf-sample -m model --seed $(SEED) -n
rows-of = for T in $(TEMPERATURES); do $(1) | wf-idwt; done | wf-dwt | wf-idwt --columns $(CHAINS) --zoom $(zoom) \
    --rows '$(call listed,$(TEMPERATURES:%=T=%))'

figure-samples = $(sample) $(SAMPLES) | wf-idwt --grid report/samples.png
figure-real = wf-dwt report/real.pam | wf-idwt --grid report/real.png
figure-levels = $(sample) $(ROWS) | wf-idwt --ladder --columns $(words $(sizes)) --titles $(call listed,$(sizes)) \
    --zoom $(zoom) --grid report/levels.png
figure-temperatures = $(call rows-of,echo T=$$T >&2; wf-nuts -m model --seed $(SEED) -n $(CHAINS) -T $$T \
    --adapt $(ADAPT) --draws $(DRAWS)) --grid report/temperatures.png
figure-scaling = $(call rows-of,$(sample) $(CHAINS) -T $$T) --grid report/scaling.png
figure-super = super.sh model report/real.pam report/super.png $(ROWS) $(CONTINUED) $(zoom) $(FACTORS)
figure-nearest = $(sample) $(ROWS) | wf-nearest -s train.store -k $(NEIGHBOURS) --beside | \
    wf-idwt --columns $(words $(beside)) --zoom $(zoom) --titles $(call listed,$(beside)) --grid report/nearest.png
figure-nearest-samples = $(sample) $(SAMPLES) | wf-nearest -s train.store --distances report/nearest-samples.tsv > /dev/null
figure-nearest-real = wf-dwt -w $(wavelet) report/real.pam | wf-nearest -s train.store \
    --distances report/nearest-real.tsv > /dev/null

.PHONY: report
report: $(OUT)/report.html $(FIGURES:%=$(report)/%.png) $(TABLES:%=$(report)/%.tsv)
	@$(SAY) 'open $<'

$(report)/.: # the folder; with OUT=. its name alone is that of the target above
	@mkdir -p '$@'

$(report)/%.command: FORCE $(OUT)/trained | $(report)/.
	$(file > $@.part,$(figure-$*))
	@$(call keep)

$(report)/real.pam: $(OUT)/real.command | $(report)/.
	@{ $(pictures-held-out); } | wf-dwt -q $(DWT) | wf-idwt -q > '$@.part' && mv '$@.part' '$@'

$(report)/real.png $(report)/super.png $(report)/nearest-real.tsv: $(report)/real.pam
# The tools give a file its name only when it is complete.
draw = @echo "report: $*"; cd '$(OUT)' && bash -e -o pipefail 'report/$*.command' 2> 'report/$*.log' || { cat 'report/$*.log' >&2; exit 1; }
$(report)/%.png: $(report)/%.command $(OUT)/trained
	$(draw)
$(report)/%.tsv: $(report)/%.command $(OUT)/trained
	$(draw)

$(OUT)/report.html: $(FIGURES:%=$(report)/%.png) $(TABLES:%=$(report)/%.tsv) $(EVAL:%=$(OUT)/bpd-%.tsv) \
    $(OUT)/curves.png $(OUT)/curve.png $(HERE)report.sh
	@FIGURES='$(FIGURES)' TABLES='$(TABLES)' REAL='$(REAL)' SHOWN='$(SHOWN)' report.sh '$(OUT)' $(shape) $(call quoted,$(EVAL)) > '$@.part' && mv '$@.part' '$@'
