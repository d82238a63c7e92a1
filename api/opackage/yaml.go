package opackage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// YAML writes the document for people: keys in the order of the format, without what is null or empty and means nothing.
// ParseYAML reads it back as the same document.
func (p *Package) YAML() ([]byte, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode package: %w", err)
	}
	tree, err := jsonTree(text)
	if err != nil {
		return nil, fmt.Errorf("encode package: %w", err)
	}
	tidy(tree)
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(tree); err != nil {
		return nil, fmt.Errorf("encode package: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("encode package: %w", err)
	}
	return out.Bytes(), nil
}

// droppable are the keys that the format always writes, whose empty values therefore say nothing.
var droppable = []string{
	"metadata", "tags", "classes", "function_bindings", "parameters", "functions", "config", "dependencies", "deployments", "nfr_requirements",
}

// tidy drops what is null or empty and says nothing, and writes texts of several lines as blocks.
func tidy(n *yaml.Node) {
	kept := n.Content[:0]
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			tidy(value)
			if !meaningless(key.Value, value) {
				kept = append(kept, key, value)
			}
		}
		n.Content = slices.Clip(kept)
		return
	}
	for _, child := range n.Content {
		tidy(child)
	}
	if n.Tag == strTag && strings.Contains(n.Value, "\n") {
		n.Style = yaml.LiteralStyle
	}
}

func meaningless(key string, n *yaml.Node) bool {
	switch n.Kind {
	case yaml.MappingNode, yaml.SequenceNode:
		return len(n.Content) == 0 && slices.Contains(droppable, key)
	}
	return n.Tag == nullTag
}
