namespace OciRegistry.Server;

internal static class RegistryTransport
{
    public static void Configure(WebApplicationBuilder builder) => builder.WebHost.ConfigureKestrel(k => k.AddServerHeader = false);
}
