// Package functions is the home of the samples: each folder is a small project with a package file, a README and tests.
//
// Guarantee: every sample deploys as it is. counter, echo, shop and sensor use the Go SDK (echo none); python-counter and shell-counter are
// written from docs/function-contract.md alone.
package functions
