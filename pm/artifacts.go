package pm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
)

// MaxArtifact is the longest artifact that is taken, in bytes.
const MaxArtifact = 50 << 20

// wasmMagic is what every WebAssembly module or component begins with.
var wasmMagic = []byte("\x00asm")

// Artifact is an uploaded WebAssembly module, named by the SHA-256 of its bytes.
type Artifact struct {
	ID        string `json:"id"`
	Size      int64  `json:"size"`
	URL       string `json:"url"`
	HasSource bool   `json:"has_source"`
	BuiltAt   string `json:"built_at,omitempty"`
}

// ArtifactID checks that an id is 64 hexadecimal digits, and gives it in lower case.
func ArtifactID(text string) (string, error) {
	id := strings.ToLower(text)
	if sum, err := hex.DecodeString(id); err != nil || len(sum) != sha256.Size {
		return "", fault.New(fault.InvalidArgument, "Invalid artifact ID: %s; it is the SHA-256 of the module, in 64 hexadecimal digits", text)
	}
	return id, nil
}

func (m *Manager) artifactFile(id string) string {
	return filepath.Join(m.opt.ArtifactDir, "wasm-modules", id+".wasm")
}

func (m *Manager) artifact(r *artifactRecord) Artifact {
	return Artifact{ID: r.ID, Size: r.Size, URL: m.opt.ArtifactURL + "/api/v1/artifacts/" + r.ID, BuiltAt: r.Built.Format(timeFormat)}
}

func (m *Manager) keepsArtifacts() error {
	if m.opt.ArtifactDir == "" {
		return fault.New(fault.Unavailable, "Artifact store not configured")
	}
	return nil
}

// Artifacts gives all artifacts in the order of their ids.
func (m *Manager) Artifacts(ctx context.Context) ([]Artifact, error) {
	if err := m.keepsArtifacts(); err != nil {
		return nil, err
	}
	records, err := loadAll[artifactRecord](ctx, m.store, artifactPrefix)
	if err != nil {
		return nil, err
	}
	list := make([]Artifact, len(records))
	for i, r := range records {
		list[i] = m.artifact(r)
	}
	return list, nil
}

// OpenArtifact gives the bytes of an artifact. The caller closes the file.
func (m *Manager) OpenArtifact(ctx context.Context, text string) (*os.File, *Artifact, error) {
	id, r, err := m.artifactRecord(ctx, text)
	if err != nil {
		return nil, nil, err
	}
	f, err := os.Open(m.artifactFile(id))
	if err != nil {
		return nil, nil, fmt.Errorf("read artifact: %w", err)
	}
	a := m.artifact(r)
	return f, &a, nil
}

func (m *Manager) artifactRecord(ctx context.Context, text string) (string, *artifactRecord, error) {
	if err := m.keepsArtifacts(); err != nil {
		return "", nil, err
	}
	id, err := ArtifactID(text)
	if err != nil {
		return "", nil, err
	}
	r, err := load[artifactRecord](ctx, m.store, artifactPrefix+id)
	if err == nil && r == nil {
		err = fault.New(fault.NotFound, "Artifact not found: %s", id)
	}
	return id, r, err
}

// PutArtifact keeps a module. wanted is the id that it must have, "" for any. It gives whether the artifact is new.
func (m *Manager) PutArtifact(ctx context.Context, wanted string, module []byte) (a Artifact, created bool, err error) {
	if err := m.keepsArtifacts(); err != nil {
		return a, false, err
	}
	if !bytes.HasPrefix(module, wasmMagic) {
		return a, false, fault.New(fault.InvalidArgument, "the body is no WebAssembly module: it does not begin with \\0asm")
	}
	sum := sha256.Sum256(module)
	id := hex.EncodeToString(sum[:])
	if wanted != "" {
		if wanted, err = ArtifactID(wanted); err != nil {
			return a, false, err
		}
		if wanted != id {
			return a, false, fault.New(fault.InvalidArgument, "the SHA-256 of the body is %s, not %s", id, wanted)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old, err := load[artifactRecord](ctx, m.store, artifactPrefix+id)
	if err != nil {
		return a, false, err
	}
	if old != nil {
		return m.artifact(old), false, nil
	}
	if err := writeFile(m.artifactFile(id), module); err != nil {
		return a, false, fmt.Errorf("keep artifact: %w", err)
	}
	r := &artifactRecord{ID: id, Size: int64(len(module)), Built: m.now().UTC()}
	change, err := set(artifactPrefix+id, r)
	if err != nil {
		return a, false, err
	}
	return m.artifact(r), true, m.write(ctx, change)
}

// DeleteArtifact removes an artifact that no package uses.
func (m *Manager) DeleteArtifact(ctx context.Context, text string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	id, _, err := m.artifactRecord(ctx, text)
	if err != nil {
		return err
	}
	users, err := m.artifactUsers(ctx, id)
	if err != nil {
		return err
	}
	if len(users) > 0 {
		return fault.New(fault.Conflict, "artifact %s is used by %s", id, strings.Join(users, ", "))
	}
	if err := m.write(ctx, Change{Key: artifactPrefix + id}); err != nil {
		return err
	}
	if err := os.Remove(m.artifactFile(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete artifact: %w", err)
	}
	return nil
}

// artifactUsers gives the functions, in packages or deployments, whose module has the id in its URL.
func (m *Manager) artifactUsers(ctx context.Context, id string) ([]string, error) {
	packages, err := loadAll[packageRecord](ctx, m.store, packagePrefix)
	if err != nil {
		return nil, err
	}
	deployments, err := loadAll[deploymentRecord](ctx, m.store, deploymentPrefix)
	if err != nil {
		return nil, err
	}
	var users []string
	for _, p := range packages {
		for _, f := range p.Package.Functions {
			if f.Provision != nil && f.Provision.WasmModuleURL != nil && strings.Contains(*f.Provision.WasmModuleURL, id) {
				users = append(users, "function "+p.Package.Name+"."+f.Key)
			}
		}
	}
	for _, d := range deployments {
		for _, f := range d.Deployment.Functions {
			if f.Provision != nil && f.Provision.WasmModuleURL != nil && strings.Contains(*f.Provision.WasmModuleURL, id) {
				users = append(users, "deployment "+d.Deployment.Key)
				break
			}
		}
	}
	return users, nil
}

// writeFile writes a file so that it is there whole or not at all.
func writeFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(path), "new-*")
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name()) //nolint:errcheck // renamed already when all went well
	_, err = io.Copy(draft, bytes.NewReader(text))
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	return os.Rename(draft.Name(), path)
}

// timeFormat is that of times in answers.
const timeFormat = time.RFC3339Nano
