# shellcheck shell=bash
# What the host's scripts share: this host's settings, what it serves now and was told to serve last, how a version is
# asked for its health, and how they report. Sourced, never run. Nothing here changes what serves.

# The settings of this host, from one file of KEY=VALUE lines. It is read, never executed, and unknown keys are ignored.
declare -A setting=(
  [ENVIRONMENT]="" [REGION]="" [REGISTRY]="" [WORLD]="${QUARTERDECK_WORLD:-}"
  [STATE_DIR]=/var/lib/quarterdeck [UPSTREAM_DIR]=/etc/nginx/quarterdeck [LOCK_DIR]=/run/lock
  [RELOAD_COMMAND]=/usr/local/bin/quarterdeck-reload
  [DEPLOYED_PARAMETERS]="" [LOG_GROUP_PREFIX]="" [ARTIFACTS_BUCKET]="" [AUTOSCALING_GROUP]=""
  [BACKUP_PATHS]=/var/lib/quarterdeck-bot/quarterdeck.sqlite3 [MONITORING_DEADLINE_S]=120
  [MONITORING_DIR]=/etc/quarterdeck/monitoring
  [BOT_IMAGE]="" [BOT_HEALTH_URL]=http://127.0.0.1:8081/healthz
  [CONTAINER_PORT]=8080 [PORT_FIRST]=18000 [PORT_LAST]=18999
  [HEALTH_DEADLINE_S]=30 [HEALTH_INTERVAL_S]=1 [HEALTH_CHECKS]=2 [DRAIN_S]=35 [LOCK_WAIT_S]=60
)

# Reads the settings file into `setting`. Fails when it cannot be read.
read_settings() {
  local file=${QUARTERDECK_HOST_ENV:-/etc/quarterdeck/host.env} line
  [[ -r $file ]] || return 1
  while IFS= read -r line || [[ -n $line ]]; do
    [[ $line =~ ^([A-Z][A-Z0-9_]*)=(.*)$ ]] && setting[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}
  done <"$file"
}

# Whether $1 has the form of the parameter named $2.
well_formed() {
  local -A form=(
    [environment]='^[a-z][a-z0-9-]{0,31}$'
    [service]='^[a-z][a-z0-9-]{0,31}$'
    [commit]='^[0-9a-f]{40}$'
    [operation]='^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$'
    [image]='^[a-z0-9][a-z0-9.:-]{0,127}/[a-z0-9][a-z0-9._/-]{0,254}@sha256:[0-9a-f]{64}$'
    [checksum]='^[0-9a-f]{64}$'
    [lines]='^[1-9][0-9]{0,2}$'
  )
  [[ $1 != *$'\n'* && $1 =~ ${form[$2]} ]]
}

# Prints the file that names the serving container and its port, for environment $1 and service $2.
upstream_file() { printf '%s/%s-%s.conf' "${setting[UPSTREAM_DIR]}" "$1" "$2"; }

# Prints the file whose lock a rollout holds, for environment $1 and service $2.
lock_file() { printf '%s/quarterdeck-%s-%s.lock' "${setting[LOCK_DIR]}" "$1" "$2"; }

# Prints the serving container's name, as file $1 has it; nothing when no version serves.
serving_container() { [[ ! -r $1 ]] || sed -n 's/^# container=\([A-Za-z0-9_.-]\{1,128\}\)$/\1/p' "$1" | head -n 1; }

# Prints the serving container's port, as file $1 has it.
serving_port() { [[ ! -r $1 ]] || sed -n 's/^ *server 127\.0\.0\.1:\([0-9]\{1,5\}\);$/\1/p' "$1" | head -n 1; }

# Prints field $2 (a template) of container $1; nothing when there is no such container.
container_field() { docker inspect --format "$2" "$1" 2>/dev/null || true; }

# Prints label quarterdeck.$2 of container $1.
container_label() { container_field "$1" "{{index .Config.Labels \"quarterdeck.$2\"}}"; }

# Prints the front address of service $1 on this host; nothing when the settings have none.
front_url() {
  local key=FRONT_URL_${1^^}
  printf '%s' "${setting[${key//-/_}]:-}"
}

# Whether the version that listens on port $1 says that it is ready.
is_ready() { curl --fail --silent --noproxy '*' --max-time 2 --output /dev/null "http://127.0.0.1:$1/readyz"; }

# Whether the service at URL $1 answers /health with commit $2.
answers_with_commit() {
  local body
  body=$(curl --fail --silent --noproxy '*' --max-time 3 "$1/health") || return 1
  [[ $body =~ \"commit\":\ *\"([0-9a-f]{40})\" && ${BASH_REMATCH[1]} == "$2" ]]
}

# Prints the services that this host has a front for, one a line.
services() {
  local key
  for key in "${!setting[@]}"; do
    [[ $key != FRONT_URL_* || -z ${setting[$key]} ]] || printf '%s\n' "${key#FRONT_URL_}"
  done | tr 'A-Z_' 'a-z-' | sort
}

# Prints foreign text as ::log lines: the last 40 (or $1), without control characters, cut in width.
say_log() { tail -n "${1:-40}" | tr -d '\000-\010\013-\037\177' | cut -c1-240 | sed 's/^/::log /'; }

# Reading is tried three times, changing never.
retry() {
  local attempt
  for attempt in 1 2 3; do
    "$@" && return 0
    ((attempt == 3)) || sleep "$attempt"
  done
  return 1
}

# Lets the engine reach the registry with the instance's own role.
log_in() {
  aws ecr get-login-password --region "${setting[REGION]}" |
    docker login --username AWS --password-stdin "${setting[REGISTRY]}" >/dev/null
}

# Writes stdin to file $1: whole or not at all, and on the disk before it is said to be written.
write_whole() {
  local fresh=$1.new
  rm -f "$fresh"
  (umask 077 && cat >"$fresh") && sync "$fresh" && mv -f "$fresh" "$1" && sync "$(dirname "$1")"
}

# Prints the file that remembers which version of service $2 serves environment $1, and which one did before.
record_file() { printf '%s/deployed/%s-%s' "${setting[STATE_DIR]}" "$1" "$2"; }

# The record of the last verified rollout: image, commit, operation, previous_image, previous_commit.
declare -A record=()

# Reads a record from stdin into `record`. Fails, with `record` empty, when a part is missing or malformed.
parse_record() {
  local line
  record=()
  while IFS= read -r line || [[ -n $line ]]; do
    [[ $line =~ ^(image|commit|operation|previous_image|previous_commit)=(.*)$ ]] &&
      record[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}
  done
  if well_formed "${record[image]:-}" image && well_formed "${record[commit]:-}" commit &&
    well_formed "${record[operation]:-}" operation && [[ ${record[image]%%/*} == "${setting[REGISTRY]}" ]]; then
    well_formed "${record[previous_image]:-}" image && well_formed "${record[previous_commit]:-}" commit ||
      record[previous_image]="" record[previous_commit]=""
    return 0
  fi
  record=()
  return 1
}

# Reads what this host itself noted for environment $1 and service $2 into `record`.
read_own_record() {
  local file
  record=()
  file=$(record_file "$1" "$2")
  [[ -r $file ]] && parse_record <"$file"
}

# Reads what the parameter store has noted for service $1 into `record`. Returns 1 when it has no note, and 2 when that
# cannot be told: it did not answer, or with something that is no note. Only the former means "never deployed".
read_shared_record() {
  local attempt said=""
  record=()
  [[ -n ${setting[DEPLOYED_PARAMETERS]} ]] || return 1
  for attempt in 1 2 3; do
    if said=$(aws ssm get-parameter --region "${setting[REGION]}" --name "${setting[DEPLOYED_PARAMETERS]}/$1" \
      --query Parameter.Value --output text 2>&1); then
      parse_record <<<"$said" && return 0
      echo "::log the parameter store's note of what was deployed last is malformed"
      return 2
    fi
    [[ $said != *"(ParameterNotFound)"* ]] || return 1
    ((attempt == 3)) || sleep "$attempt"
  done
  echo "::log the parameter store could not be asked what was deployed last"
  say_log 5 <<<"$said"
  return 2
}

# Finds what was deployed last for environment $1 and service $2: on this disk or, on a new one, in the parameter store.
# Returns 1 when nothing was, and 2 when that cannot be told.
read_record() { read_own_record "$1" "$2" || read_shared_record "$2"; }

# Reads what the hosts of this host's group share about service $1. Returns 1 when there is no group or no note, and 2
# when that cannot be told.
read_group_record() {
  record=()
  [[ -n ${setting[AUTOSCALING_GROUP]} ]] || return 1
  read_shared_record "$1"
}

# Remembers, for environment $1 and service $2, that image $3 of commit $4 serves since operation $5. What served before
# stays remembered as `previous` (a group agrees on it); the same version again, or the same operation, changes nothing
# of that. With `own` as $6 the note is this host's: the parameter store takes it only when it has none.
write_record() {
  local text file previous_image previous_commit
  file=$(record_file "$1" "$2")
  if ! read_group_record "$2" || [[ "${record[image]} ${record[commit]}" != "$3 $4" ]]; then
    read_record "$1" "$2" || true
  fi
  previous_image=${record[previous_image]:-} previous_commit=${record[previous_commit]:-}
  if [[ -n ${record[image]:-} && "${record[image]} ${record[commit]}" != "$3 $4" ]]; then
    previous_image=${record[image]} previous_commit=${record[commit]}
  fi
  text=$(printf '%s\n' "image=$3" "commit=$4" "operation=$5" "previous_image=$previous_image" "previous_commit=$previous_commit")
  mkdir -p "$(dirname "$file")"
  [[ -r $file && $(<"$file") == "$text" ]] || write_whole "$file" <<<"$text" || return 1
  share_record "$2" "$text" "${6:-shared}"
}

# Puts note $2 of service $1 into the parameter store; with `own` as $3 only when it has none. It is atomic there: of
# two hosts, one that comes back never puts its older note over the one of a deploy.
share_record() {
  local said overwrite=(--overwrite)
  [[ -n ${setting[DEPLOYED_PARAMETERS]} ]] || return 0
  [[ $3 != own ]] || overwrite=()
  said=$(aws ssm put-parameter --region "${setting[REGION]}" --name "${setting[DEPLOYED_PARAMETERS]}/$1" --type String \
    "${overwrite[@]}" --value "$2" 2>&1) && return 0
  [[ $3 != own || $said != *"(ParameterAlreadyExists)"* ]] || return 0
  echo "::log the parameter store did not take the note of what serves: only this host has it"
}

# Ends as failed in step $1 for reason $2, for scripts that leave everything as it was when they fail.
refuse() {
  printf '::failed %s %s\n' "$1" "$2"
  exit 1
}

# Takes "--name value" pairs of the names in $1 into variables of those names; refuses all else as step $2.
take_arguments() {
  local names=" $1 " step=$2
  shift 2
  while (($#)); do
    [[ $1 == --* && $names == *" ${1#--} "* ]] || refuse "$step" "an argument is not known"
    (($# >= 2)) || refuse "$step" "$1 needs a value"
    printf -v "$(tr - _ <<<"${1#--}")" '%s' "$2"
    shift 2
  done
}

# Refuses, as step $1, an environment that this host does not serve ($2).
check_environment() {
  read_settings || refuse "$1" "this host's settings cannot be read"
  well_formed "$2" environment || refuse "$1" "the parameter --environment is missing or malformed"
  [[ $2 == "${setting[ENVIRONMENT]}" ]] || refuse "$1" "this host belongs to '${setting[ENVIRONMENT]}', not to '$2'"
}

# Refuses, as step $1, a service ($2) that this host has no front for.
check_service() {
  well_formed "$2" service || refuse "$1" "the parameter --service is missing or malformed"
  [[ -n $(front_url "$2") ]] || refuse "$1" "this host has no front address for '$2'"
}

# Holds lock $1 on file descriptor 9 until this process ends; refuses, as step $2, when another has it.
hold_lock() {
  mkdir -p "${setting[LOCK_DIR]}"
  exec 9>"${setting[LOCK_DIR]}/quarterdeck-$1.lock"
  flock --wait "${setting[LOCK_WAIT_S]}" 9 || refuse "$2" "the same is already under way on this host"
}
