// Package telemetry sets up what the binaries tell about themselves: traces by OpenTelemetry, and logs.
//
// Guarantee: without an endpoint for traces nothing is sent, nothing runs in the background, and making spans costs next to nothing; the variables
// are those of OaaS-RS and of OpenTelemetry, and a value that they do not allow is an error that names it.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Names of the environment variables.
const (
	EnvEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	EnvTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	EnvServiceName    = "OTEL_SERVICE_NAME"
	EnvTracesEnabled  = "OTEL_TRACES_ENABLED"
	EnvSampler        = "OTEL_TRACES_SAMPLER"
	EnvSamplerArg     = "OTEL_TRACES_SAMPLER_ARG"
)

// Setup makes the process's tracer provider and propagator (W3C trace context) from the environment, and gives what stops them: it sends the
// spans that are left, until its ctx ends. Name is what the service is called unless the environment says otherwise. Tracing is on when an
// endpoint is given: spans go there by OTLP over gRPC.
func Setup(ctx context.Context, name string, env func(string) string) (shutdown func(context.Context) error, err error) {
	otel.SetTextMapPropagator(propagation.TraceContext{})
	endpoint, err := endpointOf(env)
	if err != nil {
		return nil, fmt.Errorf("set up tracing: %w", err)
	}
	if endpoint == "" {
		otel.SetTracerProvider(noop.NewTracerProvider()) // it tells others that spans can be spared
		return func(context.Context) error { return nil }, nil
	}
	sampler, err := samplerOf(env)
	if err != nil {
		return nil, fmt.Errorf("set up tracing: %w", err)
	}
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(endpoint))
	if err != nil {
		return nil, fmt.Errorf("set up tracing: %s: %w", endpoint, err)
	}
	if given := env(EnvServiceName); given != "" {
		name = given
	}
	provider := trace.NewTracerProvider(
		trace.WithSampler(sampler),
		trace.WithBatcher(exporter),
		trace.WithResource(resource.NewSchemaless(attribute.String("service.name", name))),
	)
	otel.SetTracerProvider(provider)
	return provider.Shutdown, nil
}

// endpointOf gives the URL that spans go to; "" if tracing is off.
func endpointOf(env func(string) string) (string, error) {
	if text := env(EnvTracesEnabled); text != "" {
		on, err := strconv.ParseBool(text)
		if err != nil {
			return "", fmt.Errorf("%s=%q: allowed are true and false", EnvTracesEnabled, text)
		}
		if !on {
			return "", nil
		}
	}
	variable, endpoint := EnvTracesEndpoint, env(EnvTracesEndpoint)
	if endpoint == "" {
		variable, endpoint = EnvEndpoint, env(EnvEndpoint)
	}
	if endpoint == "" {
		return "", nil
	}
	if !strings.Contains(endpoint, "://") {
		endpoint = "http://" + endpoint // as OaaS-RS, where a host and a port are enough
	}
	if !strings.HasPrefix(endpoint, "http://") && !strings.HasPrefix(endpoint, "https://") {
		return "", fmt.Errorf("%s=%q: allowed are URLs that begin with http:// or https://", variable, endpoint)
	}
	return endpoint, nil
}

// defaultRatio is how many traces the ratio samplers keep when the environment does not say.
const defaultRatio = 0.1

// samplerOf gives the sampler by its name. As in OaaS-RS each of them follows the decision of the caller, where there is one; unlike there,
// parentbased_traceidratio has an effect.
func samplerOf(env func(string) string) (trace.Sampler, error) {
	name := env(EnvSampler)
	switch strings.TrimPrefix(name, "parentbased_") {
	case "", "always_on":
		return trace.ParentBased(trace.AlwaysSample()), nil
	case "always_off":
		return trace.ParentBased(trace.NeverSample()), nil
	case "traceidratio":
		ratio, err := ratioOf(env)
		return trace.ParentBased(trace.TraceIDRatioBased(ratio)), err
	}
	return nil, fmt.Errorf("%s=%q: allowed are always_on, always_off and traceidratio, each also with parentbased_ in front", EnvSampler, name)
}

func ratioOf(env func(string) string) (float64, error) {
	text := env(EnvSamplerArg)
	if text == "" {
		return defaultRatio, nil
	}
	ratio, err := strconv.ParseFloat(text, 64)
	if err == nil && !(ratio >= 0 && ratio <= 1) {
		err = errors.New("out of range")
	}
	if err != nil {
		return 0, fmt.Errorf("%s=%q: allowed are numbers from 0 to 1", EnvSamplerArg, text)
	}
	return ratio, nil
}
