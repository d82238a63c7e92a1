package wasm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
)

// fetchTimeout bounds how long a module may take to arrive.
const fetchTimeout = 2 * time.Minute

// artifactPath is where the Package Manager has artifacts, by their hash.
const artifactPath = "/api/v1/artifacts/"

// Fetch gives the module at a location: http(s)://, file://, a path inside the folder dir, or /api/v1/artifacts/<sha256> of the Package Manager at the
// address base. A fragment #sha256=<64 hexadecimal digits> is checked; so is the hash of an artifact.
func Fetch(ctx context.Context, location, dir, base string) ([]byte, error) {
	where, wanted, hashed := strings.Cut(location, "#sha256=")
	if hash, ok := strings.CutPrefix(where, artifactPath); ok {
		if hashed && !strings.EqualFold(wanted, hash) {
			return nil, fault.New(fault.InvalidArgument, "module %s: the artifact has another hash than the fragment asks for", location)
		}
		where, wanted, hashed = base+where, hash, true
	}
	if raw, err := hex.DecodeString(wanted); hashed && (err != nil || len(raw) != sha256.Size) {
		return nil, fault.New(fault.InvalidArgument, "module %s: %q is no SHA-256; it has 64 hexadecimal digits", location, wanted)
	}
	code, err := read(ctx, where, dir)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(code); hashed && !strings.EqualFold(hex.EncodeToString(sum[:]), wanted) {
		return nil, fault.New(fault.InvalidArgument, "module %s: its SHA-256 is %x, not %s; it is not the module that was meant", where, sum, wanted)
	}
	return code, nil
}

func read(ctx context.Context, where, dir string) ([]byte, error) {
	scheme, rest, found := strings.Cut(where, "://")
	switch {
	case !found:
		path := filepath.FromSlash(where)
		if !filepath.IsLocal(path) {
			return nil, fault.New(fault.InvalidArgument, "module %s: the path leaves the project; write file:// before an absolute one", where)
		}
		return readFile(filepath.Join(dir, path))
	case scheme == "file":
		return readFile(filepath.FromSlash(rest))
	case scheme == "http", scheme == "https":
		return download(ctx, where)
	case scheme == "oci", scheme == "oci+http":
		return nil, fault.New(fault.InvalidArgument,
			"module %s: modules are not pulled from container registries; give a URL, a path, or an artifact of the Package Manager", where)
	}
	return nil, fault.New(fault.InvalidArgument, "module %s: %s:// is not known; use http://, https://, file:// or a path", where, scheme)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidArgument, err, "read module")
	}
	defer f.Close()
	return readBounded(f, path)
}

func download(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidArgument, err, "module %s", url)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidArgument, err, "fetch module")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fault.New(fault.InvalidArgument, "fetch module %s: answered %s", url, resp.Status)
	}
	return readBounded(resp.Body, url)
}

func readBounded(from io.Reader, name string) ([]byte, error) {
	code, err := io.ReadAll(io.LimitReader(from, MaxModule+1))
	if err == nil && len(code) > MaxModule {
		err = errors.New("it is too long")
	}
	if err != nil {
		return nil, fault.Wrap(fault.InvalidArgument, err, "read module %s: at most %s", name, fmt.Sprint(MaxModule>>20, " MiB"))
	}
	return code, nil
}
