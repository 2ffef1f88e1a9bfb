# shellcheck shell=bash
# What `deploy` and `status` share: this host's settings, what it serves now, and how a version is asked for its health.
# Sourced, never run. Nothing here changes anything.

# The settings of this host, from one file of KEY=VALUE lines. It is read, never executed, and unknown keys are ignored.
declare -A setting=(
  [ENVIRONMENT]="" [REGION]="" [REGISTRY]="" [WORLD]="${QUARTERDECK_WORLD:-}"
  [STATE_DIR]=/var/lib/quarterdeck [UPSTREAM_DIR]=/etc/nginx/quarterdeck [LOCK_DIR]=/run/lock
  [RELOAD_COMMAND]=/usr/local/bin/quarterdeck-reload
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
