#!/usr/bin/env bash
# published.sh - the published configurations: chains, patches and crops in the pipelines of ImageNet-64, LSUN and faces
. "$(dirname "$0")/lib.sh"

# expand PIPELINE TEXT: TEXT with the values of the pipeline's variables; the names of pictures are made up
expand() {
    env -u MAKEFLAGS make -s -C "$ROOT" -f "pipelines/$1.mk" OUT="$WORK/out" paths-train=here paths-val=here \
        --eval "expanded:; @echo '$2'" expanded
}
# chains PIPELINE TOP: "level steps width patch" of levels 0 to TOP, - for whole pictures
chains() {
    local level
    for level in $(seq 0 "$2"); do
        expand "$1" "$level \$(CHAIN_$level) \$(or \$(PATCH_$level),-)"
    done | sed 's/\*(actnorm, conv1x1, affine:width=/ /; s/:blocks=3), actnorm//'
}

cat > imagenet << EOF
0 8 128 -
1 8 128 -
2 16 128 -
3 16 128 -
4 16 128 -
5 16 256 8
6 16 256 16
EOF
cat > lsun << EOF
0 8 16 -
1 8 64 -
2 16 64 -
3 16 64 -
4 16 64 -
5 16 128 8
6 16 256 16
EOF
cat > faces << EOF
0 8 64 -
1 8 64 -
2 16 64 -
3 16 128 -
4 16 128 -
5 16 128 -
6 16 128 16
7 16 128 32
8 16 128 32
9 16 128 32
10 16 128 32
EOF
ok "ImageNet 64x64" same <(chains imagenet64 6) imagenet
for scene in church tower bedroom; do
    ok "LSUN $scene" same <(chains lsun_$scene 6) lsun
    # shellcheck disable=SC2016 # for make to expand
    expand lsun_$scene '$(DWT) $(FLAGS)' > have
    ok "LSUN $scene: random 64x64 crops of 96x96" grep -e '--resize 96x96 --random-crop 64x64' have
    ok "LSUN $scene: mirrored at random" grep -e '--flip' have
done
for name in celeba_hq ffhq; do
    ok "$name" same <(chains $name 10) faces
done
