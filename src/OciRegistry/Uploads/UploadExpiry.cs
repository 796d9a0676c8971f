using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OciRegistry.Coordination;
using OciRegistry.Repositories;
using OciRegistry.Storage;

namespace OciRegistry.Uploads;

/// <summary>
/// Gives up the sessions that nobody has cared for. It lists session documents only, never content, and each is discarded
/// by compare-and-swap, so that a request that comes at the same moment either saves it or finds it gone.
/// </summary>
internal sealed partial class UploadExpiry(
    UploadSessions sessions,
    UploadSessionDocuments documents,
    IUploadStore uploads,
    CondemnedContent condemned,
    IRegistryLocks locks,
    IOptions<OciRegistryOptions> options,
    RegistryMetrics metrics,
    StoreClock clock,
    ILogger<UploadExpiry> log)
{
    private const int PageSize = 1_000;

    /// <summary>
    /// One sweep; false when another replica is at it. Without a lock service every replica sweeps: the lock only saves work.
    /// </summary>
    public async ValueTask<bool> SweepAsync(CancellationToken cancellationToken)
    {
        await using var turn = await locks.TryAcquireAsync("uploads/sweep", TimeSpan.Zero, cancellationToken);
        if (turn is null && locks.Problem is null)
        {
            metrics.ForgetUploads(); // whoever sweeps tells
            return false;
        }

        var now = await clock.MeasureAsync(cancellationToken); // where the storage cannot tell, the sweep ends here
        var (active, bytes) = (0L, 0L);
        UploadSessionId? last = null;
        while (await documents.ListAsync(last, PageSize, cancellationToken) is { Count: > 0 } page)
        {
            foreach (var session in page)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (await ExpireAsync(session, now) is { } goesOn)
                {
                    active++;
                    bytes += goesOn.Progress;
                }
            }

            last = page[^1];
        }

        metrics.UploadsCounted(active, bytes);

        // Staged bytes whose session document did not survive a power cut.
        var before = now - options.Value.Uploads.IdleExpiry;
        await foreach (var staged in uploads.ListAsync(before, cancellationToken))
        {
            if (await documents.ReadAsync(staged.Session, cancellationToken) is null)
            {
                await uploads.DiscardAsync(staged, cancellationToken);
                await documents.DeleteAsync(staged.Session, cancellationToken);
            }
        }

        // Published by sessions that were given up before they linked it.
        await condemned.SweepAsync(TimeSpan.Zero, cancellationToken);
        return true;
    }

    /// <summary>A session that cannot be given up must not keep all those after it.</summary>
    private async ValueTask<UploadSession?> ExpireAsync(UploadSessionId session, DateTimeOffset now)
    {
        try
        {
            return await sessions.ExpireAsync(session, now);
        }
        catch (StorageException e)
        {
            LogKept(log, e, session);
            return null;
        }
    }

    [LoggerMessage(LogLevel.Error, "Upload session {Session} has expired but cannot be given up; the next sweep tries again.")]
    private static partial void LogKept(ILogger logger, Exception exception, UploadSessionId session);
}

/// <summary>Runs the sweep every <see cref="UploadOptions.SweepInterval"/>.</summary>
internal sealed partial class UploadExpiryService(
    UploadExpiry expiry,
    IOptions<OciRegistryOptions> options,
    RegistryMetrics metrics,
    TimeProvider time,
    ILogger<UploadExpiryService> log)
    : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(options.Value.Uploads.SweepInterval, time);
        do
        {
            try
            {
                if (await expiry.SweepAsync(stoppingToken))
                {
                    metrics.Swept("uploads", hasFailed: false);
                }
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                metrics.Swept("uploads", hasFailed: true);
                LogFailed(log, e);
            }
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    [LoggerMessage(LogLevel.Error, "The sweep of expired upload sessions failed; the next one goes on.")]
    private static partial void LogFailed(ILogger logger, Exception exception);
}
