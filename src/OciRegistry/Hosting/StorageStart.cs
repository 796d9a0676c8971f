using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OciRegistry.Storage;

namespace OciRegistry.Hosting;

/// <summary>Refuses to start on a storage that lacks what the guarantees rest on; one that is full serves what it has.</summary>
internal sealed partial class StorageStart(IStorageProbe probe, ILogger<StorageStart> log) : IHostedService
{
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (await probe.ProblemAsync(cancellationToken) is { } problem)
        {
            if (!problem.IsFull)
            {
                throw new StorageException(problem.Message);
            }

            LogFull(log, problem.Message);
        }
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    [LoggerMessage(LogLevel.Error, "{Problem}", EventName = "StorageFull")]
    private static partial void LogFull(ILogger logger, string problem);
}
