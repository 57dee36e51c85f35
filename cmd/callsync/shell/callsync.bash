# Completion of callsync in bash: callsync itself says what fits.
_callsync() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        [[ $line == :files ]] && { COMPREPLY=(); return; }
        COMPREPLY+=("$(printf %q "${line%%$'\t'*}")")
    done < <("${COMP_WORDS[0]}" __complete bash "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _callsync callsync
