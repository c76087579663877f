#!/usr/bin/env bash
# launcher/corpus.sh against a pretended machine: its apt-cache, apt-get and dpkg-deb are scripts
# here, and the packages a tree of made-up text. Usage: corpus_test.sh CORPUS_SH FAKE_PACKAGES_PY
set -uo pipefail

corpus=$PWD/$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
python3 -B "$2" "$work/tree"

mkdir "$work/bin"
cat >"$work/bin/apt-cache" <<END
#!/bin/bash
[[ ! -e "$work/unknown" || -e "$work/updated" ]]
END
cat >"$work/bin/apt-get" <<END
#!/bin/bash
echo "\$*" >>"$work/calls"
if [[ "\$*" == *update* ]]; then
  [[ ! -e "$work/may_update" ]] || : >"$work/updated"
  exit
fi
[[ ! -e "$work/offline" ]] || { echo 'E: offline' >&2; exit 100; }
for word; do
  [[ \$word == -* || \$word == *=* || \$word == download ]] || : >"\${word}_1_all.deb"
done
END
cat >"$work/bin/dpkg-deb" <<END
#!/bin/bash
case "\$1" in
  # The first package brings everything.
  -x) [[ ! -e "$work/damaged" ]] && { [[ -e "\$3/usr" ]] || cp -r "$work/tree/usr" "\$3"; } ;;
  -W) echo "\$(basename "\${@: -1}" | sed 's/_.*//') 1" ;;
esac
END
printf '#!/bin/bash\n[[ $1 == -n ]] && shift\n"$@"\n' >"$work/bin/sudo"
chmod +x "$work"/bin/*

# Runs corpus.sh on that machine with the marks $2... (offline, damaged, unknown, may_update) and
# the output folder $1; sets `status`, `output`.
run_corpus() {
  local folder=$1 mark
  shift
  rm -f "$work"/{unknown,may_update,updated,offline,damaged,calls}
  for mark; do : >"$work/$mark"; done
  output=$(PATH="$work/bin:/usr/bin:/bin" "$corpus" ${folder:+"$folder"} 2>&1)
  status=$?
}

# expect WHAT STATUS [TEXT...]: the last run ended with STATUS and printed every TEXT.
expect() {
  local what=$1 wanted=$2 text
  shift 2
  local ok=1
  ((status == wanted)) || ok=0
  for text; do [[ $output == *"$text"* ]] || ok=0; done
  ((ok)) && return
  ((++failures))
  printf 'FAILED %s: expected status %s and "%s"; status %s, output:\n%s\n' \
    "$what" "$wanted" "$*" "$status" "$output"
}

# expect_true WHAT COMMAND...
expect_true() {
  local what=$1
  shift
  "$@" && return
  ((++failures))
  printf 'FAILED %s: %s\n' "$what" "$*"
}

run_corpus ""
expect 'no argument' 2 'usage'
run_corpus --help
expect 'an option' 2 'usage'

out="$work/with space/out"
run_corpus "$out" offline
expect 'offline' 1 'the download failed' 'E: offline' 'docs/data.md'
expect_true 'a failure leaves no corpus' test ! -e "$out/.stamp" -a ! -e "$out/SUMMARY.txt"
run_corpus "$out" unknown
expect 'unknown packages' 3 'does not know r-cran-janeaustenr' 'apt-get update'
run_corpus "$out" damaged
expect 'a damaged package' 1 'was damaged and has been removed'

run_corpus "$out" unknown may_update
expect 'known after an update' 0 'domain' 'prose' 'french' 'total'
for domain in prose dictionary manuals code german french; do
  for split in train validation; do
    expect_true "$domain $split" test -s "$out/$domain.$split.bytes" -a \
      "$(head -c 8 "$out/$domain.$split.docs")" = EQDOCS1
  done
done
expect_true 'versions are noted' grep -qx 'perl-doc 1' "$out/PACKAGES.txt"
expect_true 'no leftovers' test -z "$(find "$out" -name '.building*')"

first=$(cat "$out"/*.bytes "$out"/*.docs | sha256sum)
run_corpus "$out" offline
expect 'a second call needs nothing' 0 'total'
expect_true 'and calls nothing' test ! -e "$work/calls"

rm "$out/code.train.docs"
run_corpus "$out"
expect 'a missing file is rebuilt' 0 'total'
expect_true 'to the same bytes' test "$first" = "$(cat "$out"/*.bytes "$out"/*.docs | sha256sum)"

printf x >>"$out/code.train.bytes"
run_corpus "$out"
expect 'a changed file is rebuilt' 0 'total'
expect_true 'to the same bytes' test "$first" = "$(cat "$out"/*.bytes "$out"/*.docs | sha256sum)"

rm -r "$work/tree/usr/share/man/fr" "$out/.stamp"
run_corpus "$out"
expect 'an empty domain' 1 'domain french' 'found 0 and 0'

printf 'corpus_test: %d failures\n' "$failures"
((failures == 0))
