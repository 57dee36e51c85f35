#compdef callsync
# Completion of callsync in zsh: callsync itself says what fits.
_callsync() {
    local line
    local -a fitting
    while IFS= read -r line; do
        if [[ $line == :files ]]; then
            compset -P '*='
            _files
            return
        fi
        fitting+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done < <("${words[1]}" __complete zsh "${(@)words[2,CURRENT]}" 2>/dev/null)
    (( $#fitting )) && _describe -V callsync fitting
}
if [[ "$funcstack[1]" == _callsync ]]; then
    _callsync "$@"
else
    compdef _callsync callsync
fi
