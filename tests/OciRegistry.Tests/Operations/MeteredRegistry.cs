using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.Operations;

namespace OciRegistry.Tests.Operations;

/// <summary>The metrics of a registry that is not there, and how they look to Prometheus.</summary>
internal sealed class MeteredRegistry : IDisposable
{
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly PrometheusText _text;

    public MeteredRegistry()
    {
        Meters = _services.GetRequiredService<IMeterFactory>();
        Metrics = new RegistryMetrics(Meters);
        _text = new PrometheusText(Meters, Metrics);
    }

    public IMeterFactory Meters { get; }

    public RegistryMetrics Metrics { get; }

    public IReadOnlyList<PrometheusParser.Family> Families() => PrometheusParser.Parse(_text.Render());

    public PrometheusParser.Family Family(string name) => Families().Single(family => family.Name == name);

    public void Dispose()
    {
        _text.Dispose();
        _services.Dispose();
    }
}
