package opackage

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of names. Objects' ids and entries' keys have the limit of the object data grid.
const (
	maxName          = 100
	maxEntryKey      = 160
	maxText          = 4096
	maxAttribute     = 20
	maxTimeout       = 24 * time.Hour
	maxRetries       = 10
	maxPartitions    = 65535
	maxReplicas      = 50
	scalingPrefix    = "autoscaling.knative.dev/"
	prefixWildcard   = "*"
	subjectAttribute = "subject"
)

// checkName checks the name of a package, class, method, trigger or function. The names of classes hold no dot, since
// package.class is split at its last one.
func checkName(name string, dots bool) string {
	if name == "" {
		return "must not be empty"
	}
	if len(name) > maxName {
		return fmt.Sprintf("is %d characters long, the limit is %d", len(name), maxName)
	}
	for i, r := range name {
		word := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_'
		if word || i > 0 && (r == '-' || r == '.' && dots) {
			continue
		}
		allowed := "letters, digits, _ and -"
		if dots {
			allowed = "letters, digits, _, - and ."
		}
		return fmt.Sprintf("%s holds %q; allowed are %s, the first one a letter, a digit or _", quote(name), r, allowed)
	}
	return ""
}

// checkKey checks an object id or entry key, which the data plane lower-cases before it looks at it.
func checkKey(key string) string {
	if key == "" {
		return "must not be empty"
	}
	if len(key) > maxEntryKey {
		return fmt.Sprintf("is %d characters long, the limit is %d", len(key), maxEntryKey)
	}
	for _, r := range key {
		word := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !word && !strings.ContainsRune("._:-", r) {
			return fmt.Sprintf("%s holds %q; allowed are letters, digits and . _ : -", quote(key), r)
		}
	}
	return ""
}

// checkSelector checks an exact key, a prefix ending in '*', or "*".
func checkSelector(selector string) string {
	if selector == prefixWildcard {
		return ""
	}
	key := strings.TrimSuffix(selector, prefixWildcard)
	if strings.Contains(key, prefixWildcard) {
		return quote(selector) + " has a * that is not at its end: only whole keys and prefixes select entries"
	}
	return checkKey(key)
}

// checkSink checks a sink: an http(s) URL or "default".
func checkSink(sink string) string {
	if sink == DefaultSink {
		return ""
	}
	if why := checkURL(sink); why != "" {
		return why + `; a sink is such a URL or "default"`
	}
	return ""
}

func checkURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case len(text) > maxText:
		return fmt.Sprintf("is %d bytes long, the limit is %d", len(text), maxText)
	case err != nil:
		return quote(text) + " is not a URL"
	case u.Scheme != "http" && u.Scheme != "https":
		return quote(text) + " is not a URL that starts with http:// or https://"
	case u.Hostname() == "":
		return quote(text) + " is a URL without a host"
	}
	return ""
}

func checkDuration(text string, atLeast, atMost time.Duration) string {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return quote(text) + " is not a duration such as 500ms, 10s or 2m"
	case d < atLeast || d > atMost:
		return fmt.Sprintf("is %s, allowed are %s to %s", shortDuration(d), shortDuration(atLeast), shortDuration(atMost))
	}
	return ""
}

// shortDuration writes 24h where time.Duration writes 24h0m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// checkAttribute checks the name of a CloudEvents extension attribute.
func checkAttribute(name string) string {
	standard := []string{"id", "source", "specversion", "type", "time", "data", "datacontenttype", "dataschema"}
	if slices.Contains(standard, name) {
		return quote(name) + ` is no extension attribute of a CloudEvent; use "subject" or an extension`
	}
	plain := strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
	if name == "" || len(name) > maxAttribute || !plain {
		return fmt.Sprintf("%s is no name of a CloudEvents attribute: 1 to %d lower-case letters and digits", quote(name), maxAttribute)
	}
	return ""
}

var environmentName = regexp.MustCompile(`^[-._a-zA-Z][-._a-zA-Z0-9]*$`)

var quantityForm = regexp.MustCompile(`^\+?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3}|Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE])?$`)

var quantityFactor = map[string]float64{
	"": 1, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
	"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60,
}

// quantity reads a Kubernetes quantity such as 250m or 64Mi. Its value is for comparing requests with limits only.
func quantity(text string) (float64, bool) {
	m := quantityForm.FindStringSubmatch(text)
	if m == nil || len(text) > maxName {
		return 0, false
	}
	factor, isSuffix := quantityFactor[m[2]]
	if !isSuffix {
		factor = 1
		m[1] += m[2]
	}
	value, err := strconv.ParseFloat(m[1], 64)
	return value * factor, err == nil
}
