# Completion of `manage.py` in bash: source this file. Django itself answers what may follow, under
# DJANGO_AUTO_COMPLETE.

_fluxiq_manage() {
    local words=("${COMP_WORDS[@]}") at=$COMP_CWORD run=()
    if [[ ${words[0]##*/} == python* ]]; then
        [[ ${words[1]##*/} == manage.py ]] || return 0
        run=("${words[0]}")
        words=("${words[@]:1}")
        at=$((at - 1))
    fi
    ((at > 0)) || return 0
    local found
    found=$(COMP_WORDS="${words[*]}" COMP_CWORD=$at DJANGO_AUTO_COMPLETE=1 \
        "${run[@]}" "${words[0]}" 2>/dev/null)
    mapfile -t COMPREPLY < <(compgen -W "$found" -- "${words[at]}")
}

complete -o default -F _fluxiq_manage manage.py ./manage.py python python3
