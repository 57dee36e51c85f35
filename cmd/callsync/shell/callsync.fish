# Completion of callsync in fish: callsync itself says what fits.
function __callsync_fitting
    set -l before (commandline -opc)
    set -l fitting ($before[1] __complete fish $before[2..-1] (commandline -ct) 2>/dev/null)
    if test "$fitting[1]" = ":files"
        __fish_complete_path (string replace -r '^--[a-z-]+=' '' -- (commandline -ct))
        return
    end
    printf '%s\n' $fitting
end
complete -c callsync -f -a '(__callsync_fitting)'
