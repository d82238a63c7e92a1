package e2e

import (
	"fmt"
	"strings"
)

// countingPackage is a package of counters: every change of n calls see of the object's twin, every add emits an event that a third class
// takes. All run in worker processes.
func countingPackage(name, engine string, config ...string) string {
	return strings.NewReplacer("NAME", name, "ENGINE", engine, "WORKER", worker, "CONFIG", strings.Join(config, ", ")).Replace(`
name: NAME
classes:
  - key: counter
    state_spec: {persistent: true}
    options: {storage_backend: ENGINE}
    sink: default
    function_bindings:
      - {name: add, function_key: fn, state: [n], retries: 3}
      - {name: see, function_key: fn, state: [n]}
      - {name: note, function_key: fn, state: [events]}
      - {name: slow, function_key: fn, state: [n]}
      - {name: peek, function_key: fn, state: [n], readonly: true}
    triggers:
      - {name: first, on: entry.created, entry: n, target: {class: seen, method: see}}
      - {name: more, on: entry.updated, entry: n, target: {class: seen, method: see}}
      - {name: first-write, on: entry.created, entry: w, target: {class: seen, method: see}}
      - {name: more-writes, on: entry.updated, entry: w, target: {class: seen, method: see}}
  - key: seen
    state_spec: {persistent: true}
    options: {storage_backend: ENGINE}
    function_bindings:
      - {name: see, function_key: fn, state: [n]}
  - key: log
    state_spec: {persistent: true}
    options: {storage_backend: ENGINE}
    function_bindings:
      - {name: note, function_key: fn, state: [events]}
    subscriptions:
      - {type: e2e.added, method: note}
deployments:
  - {key: NAME-counter, package_name: NAME, class_key: counter, odgm: {partition_count: 3}}
  - {key: NAME-seen, package_name: NAME, class_key: seen, odgm: {partition_count: 2}}
  - {key: NAME-log, package_name: NAME, class_key: log}
functions:
  - key: fn
    runtime: command
    command: [WORKER]
    config: {FUNCTION_PACKAGE: NAME, CONFIG}
`)
}

// stubPackage is a package with one class whose only function is at a URL. Bindings are lines of YAML.
func stubPackage(name, url, classOptions string, bindings ...string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "name: %s\nclasses:\n  - key: thing\n    state_spec: {persistent: true}\n", name)
	if classOptions != "" {
		fmt.Fprintf(&text, "    %s\n", strings.ReplaceAll(classOptions, "\n", "\n    "))
	}
	text.WriteString("    function_bindings:\n")
	for _, b := range bindings {
		fmt.Fprintf(&text, "      - %s\n", b)
	}
	fmt.Fprintf(&text, "functions:\n  - {key: fn, url: %q}\n", url)
	return text.String()
}
