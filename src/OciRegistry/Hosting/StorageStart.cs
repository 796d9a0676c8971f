using Microsoft.Extensions.Hosting;
using OciRegistry.Storage;

namespace OciRegistry.Hosting;

/// <summary>Refuses to start on a storage that lacks what the guarantees rest on.</summary>
internal sealed class StorageStart(IStorageProbe probe) : IHostedService
{
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (await probe.ProblemAsync(cancellationToken) is { } problem)
        {
            throw new StorageException(problem);
        }
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
