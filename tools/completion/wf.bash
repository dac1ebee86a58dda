# shellcheck shell=bash
# wf.bash - completes the arguments of the programs in bash
#
# `make` fills in two tables: the options of every program from its --help=completion, and the words of chains from their
# registry. Nothing runs at a TAB except this file.
declare -gA _wf_argument=() # "PROGRAM OPTION": its argument as --help shows it; "PROGRAM operand": the operands
declare -gA _wf_options=()  # PROGRAM: its options
declare -gA _wf_words=()    # word of a chain: its options, as "width= mask=halves|checker"

_wf_load() {
    local program letter name argument option
    while IFS=$'\t' read -r program letter name argument _; do
        if [[ $program == chain ]]; then
            _wf_words[$letter]=${name#-}
            continue
        fi
        for option in "$letter" "$name"; do
            [[ $argument == - ]] || _wf_argument[$program $option]=$argument
            [[ $option != -?* ]] || _wf_options[$program]+="$option "
        done
    done
    complete -F _wf "${!_wf_options[@]}"
}
_wf_load << 'END'
@options
@words
END

# The folder of installed models, counted from this file. As in the programs, those of $WF_MODELS come before it.
_wf_installed=${BASH_SOURCE[0]%/*}/../../wavelet-flow/models

# Offers those of the words that begin with $word.
_wf_offer() {
    local candidate
    for candidate; do
        [[ $candidate != "$word"* ]] || COMPREPLY+=("$candidate")
    done
}

# _wf_folders FILE: offers folders, except those that have FILE, which a folder of another kind has
_wf_folders() {
    local folder
    compopt -o filenames
    while IFS= read -r folder; do
        [[ -e ${folder/#\~\//$HOME/}/$1 ]] || COMPREPLY+=("$folder")
    done < <(compgen -d -- "$word")
}

_wf_files() {
    local file
    compopt -o filenames
    while IFS= read -r file; do COMPREPLY+=("$file"); done < <(compgen -f -- "$word")
}

# Offers the names of models that are found by their name.
_wf_names() {
    local place model places
    IFS=: read -r -a places <<< "${WF_MODELS-}:$_wf_installed"
    for place in "${places[@]}"; do
        for model in "$place"/*/wf.json; do
            model=${model%/wf.json}
            [[ -z $place || ! -d $model ]] || _wf_offer "${model##*/}"
        done
    done
}

# Offers the levels of the model that -m names: those that are trained, or, given "all", every level of its pyramid and
# their range.
_wf_levels() {
    local i model='' text level=0 place places
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -m | --model)
            model=${COMP_WORDS[i + 1]}
            [[ $model != = ]] || model=${COMP_WORDS[i + 2]}
            ;;
        -m?*) model=${COMP_WORDS[i]#-m} ;;
        esac
    done
    model=${model//[\"\'\\]/}
    IFS=: read -r -a places <<< "${WF_MODELS-}:$_wf_installed"
    for place in "" "${places[@]/%//}"; do
        text=$place${model/#\~\//$HOME/}
        [[ ! -e $text/wf.json ]] || break
    done
    model=$text
    [[ -e $model/wf.json ]] || return
    compopt -o nosort 2> /dev/null # since bash 4.4
    if [[ ${1-} != all ]]; then
        for text in "$model"/level-[0-9][0-9].safetensors; do
            text=${text%.safetensors}
            text=${text##*-}
            [[ $text == *[!0-9]* ]] || _wf_offer $((10#$text))
        done
        return
    fi
    read -r -d '' text < "$model/wf.json"
    [[ $text =~ \"levels\":\ *([1-9]?[0-9])[^0-9] ]] || return
    for ((; level <= BASH_REMATCH[1]; level++)); do _wf_offer $level; done
    _wf_offer "0-${BASH_REMATCH[1]}"
}

# Offers the next part of a chain: a word, an option of the word before, or the value of the option before.
_wf_chain() {
    local part=${word##*[ ,(*]} head options option values candidate first=${#COMPREPLY[@]}
    head=${word%"$part"}
    compopt -o nospace
    if [[ $part != *:* ]]; then
        for candidate in "${!_wf_words[@]}"; do _wf_offer "$head$candidate"; done
    else
        options=${_wf_words[${part%%:*}]-}
        head+=${part%:*}:
        for option in $options; do
            values=${option#*=}
            for candidate in "${option%%=*}=" ${values:+${values//|/ "${option%%=*}="}}; do
                _wf_offer "$head$candidate"
            done
        done
    fi
    # Readline ends the quotes of the only candidate. A chain can go on, so that there must be two.
    if [[ ${COMP_WORDS[COMP_CWORD]} == [\"\']* && ${#COMPREPLY[@]} == $((first + 1)) ]]; then
        if [[ ${COMPREPLY[first]} == *= ]]; then
            COMPREPLY+=("${COMPREPLY[first]}N")
        else
            COMPREPLY+=("${COMPREPLY[first]},")
        fi
    fi
}

_wf() {
    local program=${1##*/} word=$2 option=$3 argument piece pieces
    COMPREPLY=()
    # "=" and "@" end words in bash: --name=value is three, and @FILE is two. "@" alone is "" here.
    case $option${COMP_WORDS[COMP_CWORD]} in
    =* | @*) option=${COMP_WORDS[COMP_CWORD - 2]} ;;
    esac
    argument=${_wf_argument[$program $option]-}
    if [[ $argument == *@FILE* && ${COMP_WORDS[*]: -2} == *@* && $word != *@* ]]; then
        _wf_files
        return
    fi
    if [[ -z $argument && $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${_wf_options[$program]}" -- "$word")
        return
    fi
    IFS='|' read -r -a pieces <<< "${argument:-${_wf_argument[$program operand]-}}"
    for piece in "${pieces[@]}"; do
        case $piece in
        FILE | FILE.png) _wf_files ;;
        DIR) _wf_folders /none ;;
        STORE) _wf_folders wf.json ;;
        MODEL)
            _wf_folders data.mdb
            _wf_names
            ;;
        L) _wf_levels ;;
        L-M) _wf_levels all ;;
        CHAIN) _wf_chain ;;
        @FILE)
            [[ $word == @* ]] || continue
            COMPREPLY=()
            word=${word#@} _wf_files
            COMPREPLY=("${COMPREPLY[@]/#/@}")
            return
            ;;
        - | *[!a-z0-9-]*) ;; # a number or a text
        *) _wf_offer "$piece" ;;
        esac
    done
}
