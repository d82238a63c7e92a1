package opackage

import (
	"errors"

	"go.yaml.in/yaml/v3"
)

// ParseOption changes how a document is read.
type ParseOption func(*parseConfig)

type parseConfig struct {
	file          string
	ignoreUnknown bool
}

// InFile names the file in every problem.
func InFile(name string) ParseOption { return func(c *parseConfig) { c.file = name } }

// IgnoreUnknown skips keys that the document format does not have, as OaaS-RS does, for endpoints that its clients write to.
func IgnoreUnknown() ParseOption { return func(c *parseConfig) { c.ignoreUnknown = true } }

// ParseYAML reads a package file. Numbers and booleans are taken by their text where text is expected. Every problem that it finds is
// in the error, a [ValidationErrors]; only a document over [MaxSize] is another *fault.Error.
// It checks the shape of the document; call [Package.Validate] for its meaning.
func ParseYAML(data []byte, opts ...ParseOption) (*Package, error) {
	return parse(data, yamlTree, decoder{scalarsAsText: true}, opts)
}

// ParseJSON reads a package document in JSON, as ParseYAML does, except that text has to be a JSON string.
func ParseJSON(data []byte, opts ...ParseOption) (*Package, error) {
	return parse(data, jsonTree, decoder{}, opts)
}

// ParseDeploymentJSON reads one deployment in JSON, as ParseJSON reads a package.
func ParseDeploymentJSON(data []byte, opts ...ParseOption) (*Deployment, error) {
	d := new(Deployment)
	_, err := parseInto(d, data, jsonTree, decoder{}, opts)
	return d, err
}

func parse(data []byte, tree func([]byte) (*yaml.Node, error), d decoder, opts []ParseOption) (*Package, error) {
	p := new(Package)
	var err error
	if p.places, err = parseInto(p, data, tree, d, opts); err != nil {
		return nil, err
	}
	return p, nil
}

func parseInto(into any, data []byte, tree func([]byte) (*yaml.Node, error), d decoder, opts []ParseOption) (*places, error) {
	var config parseConfig
	for _, opt := range opts {
		opt(&config)
	}
	d.file, d.ignoreUnknown = config.file, config.ignoreUnknown
	root, err := readTree(data, tree)
	if err != nil {
		return nil, inFile(err, config.file)
	}
	return d.decode(root, into)
}

func readTree(data []byte, tree func([]byte) (*yaml.Node, error)) (*yaml.Node, error) {
	text, err := checkText(data)
	if err != nil {
		return nil, err
	}
	return tree(text)
}

// inFile adds the name of the file to problems that were found before there was a decoder.
func inFile(err error, file string) error {
	if problems, ok := errors.AsType[ValidationErrors](err); ok {
		for i := range problems {
			problems[i].File = file
		}
	}
	return err
}
