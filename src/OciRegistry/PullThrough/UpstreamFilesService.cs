using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace OciRegistry.PullThrough;

/// <summary>Reads the files with the passwords and tokens of the upstreams every second.</summary>
internal sealed partial class UpstreamFilesService(
    Upstreams upstreams, RegistryMetrics metrics, TimeProvider time, ILogger<UpstreamFilesService> log) : BackgroundService
{
    private const string Kind = "upstream_credentials";
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var watched = upstreams.All.Where(one => one.Options.PasswordFile is not null || one.Options.TokenFile is not null).ToList();
        if (watched.Count == 0)
        {
            return;
        }

        metrics.FileRead(Kind, isRejected: false);
        var rejected = new HashSet<Upstream>();
        using var timer = new PeriodicTimer(Interval, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            foreach (var upstream in watched)
            {
                Refresh(upstream, rejected);
            }

            metrics.FileRead(Kind, rejected.Count > 0);
        }
    }

    private void Refresh(Upstream upstream, HashSet<Upstream> rejected)
    {
        try
        {
            if (upstream.Client.RefreshAccount() is { } path)
            {
                rejected.Remove(upstream);
                LogChanged(log, path, upstream.Options.Prefix);
            }
        }
        catch (UnusableFileException e)
        {
            rejected.Add(upstream);
            LogKept(log, upstream.Options.Prefix, e.Message);
        }
    }

    [LoggerMessage(LogLevel.Information, "'{File}' has changed. Requests to the upstream '{Upstream}' use the new content.")]
    private static partial void LogChanged(ILogger logger, string file, string upstream);

    [LoggerMessage(LogLevel.Error, "The file with the password or token of the upstream '{Upstream}' is invalid. The previous content stays in effect. {Problem}")]
    private static partial void LogKept(ILogger logger, string upstream, string problem);
}
