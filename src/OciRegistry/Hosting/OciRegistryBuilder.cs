using Microsoft.Extensions.DependencyInjection;

namespace OciRegistry.Hosting;

/// <summary>What a registry is made of. Each <c>UseX</c> replaces one part outright.</summary>
public sealed class OciRegistryBuilder
{
    internal OciRegistryBuilder(IServiceCollection services) => Services = services;

    public IServiceCollection Services { get; }

    /// <summary>Changes the settings that do not belong to one part.</summary>
    public OciRegistryBuilder Configure(Action<OciRegistryOptions> configure)
    {
        Services.Configure(configure);
        return this;
    }
}
