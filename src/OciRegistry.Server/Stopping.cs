using System.Runtime.InteropServices;
using Microsoft.Extensions.Options;
using OciRegistry.Endpoints;

namespace OciRegistry.Server;

/// <summary>How the program ends when it is told to (SIGTERM, Ctrl+C): see <see cref="DrainOptions"/>.</summary>
internal static class Stopping
{
    /// <summary>What recording the uploads may take after the deadline, while the storage lags.</summary>
    public static readonly TimeSpan RecordTime = TimeSpan.FromSeconds(10);

    public static void Configure(WebApplicationBuilder builder) =>
        builder.Services.AddOptions<HostOptions>().Configure<IOptions<OciRegistryOptions>>(static (host, registry) =>
        {
            var drain = registry.Value.Drain;
            host.ShutdownTimeout = drain.Announce + drain.Deadline + RecordTime;
        });

    /// <summary>Who presses Ctrl+C once more waits for no deadline.</summary>
    public static PosixSignalRegistration OnSecondInterrupt(WebApplication app)
    {
        var drain = app.Services.GetRequiredService<Drain>();
        var interrupts = 0;
        return PosixSignalRegistration.Create(PosixSignal.SIGINT, _ =>
        {
            if (Interlocked.Increment(ref interrupts) > 1)
            {
                drain.EndAll();
            }
        });
    }
}
