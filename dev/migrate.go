package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/pm"
)

// projectsName is the file in which releases before the Package Manager remembered what is deployed, and migratedName what becomes of it.
const (
	projectsName = "projects.json"
	migratedName = projectsName + ".migrated"
)

// migrate takes over what an older release has deployed. After a crash in the middle it is done again, with the same result.
func (p *platform) migrate(ctx context.Context) error {
	path := filepath.Join(p.dataDir, projectsName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read deployed projects: %w", err)
	}
	var list []remembered
	if err := json.Unmarshal(text, &list); err != nil {
		return fmt.Errorf("read deployed projects: %s: %w", path, err)
	}
	for i := range list {
		r := &list[i]
		if r.Package == nil || r.Package.Name == "" {
			return fmt.Errorf("read deployed projects: %s: project %d has no package", path, i)
		}
		if err := p.adopt(ctx, r); err != nil {
			return fmt.Errorf("take over project %s: %w", r.Package.Name, err)
		}
	}
	return os.Rename(path, filepath.Join(p.dataDir, migratedName))
}

// adopt has the Package Manager know a project that is deployed.
func (p *platform) adopt(ctx context.Context, r *remembered) error {
	r.Package.Deployments = r.Package.EffectiveDeployments()
	r.Units = map[string]rememberedUnit{}
	ids := map[string]string{}
	for _, d := range r.Package.Deployments {
		id := pm.UnitID(d.ClassKey)
		r.Units[d.Key], ids[d.Key] = rememberedUnit{ID: id, Created: r.Deployed.UTC().Truncate(time.Microsecond)}, id
	}
	if err := saveProject(ctx, p.store, r); err != nil {
		return err
	}
	return p.manager.Adopt(ctx, environmentName, r.Package, r.Dir, ids)
}

// deployHint says how to deploy a package again.
func deployHint(r *remembered) string {
	if r.Dir == "" {
		return "deploy it again with: oaas deploy apply FILE"
	}
	return strings.TrimSpace("deploy it again with: oaas func deploy " + r.Dir)
}
