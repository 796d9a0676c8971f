using Azure.Core;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Specialized;
using OciRegistry.Storage;

namespace OciRegistry.Azure;

/// <summary>The container that everything is in, and how it is called: again, for as long as that may help.</summary>
internal sealed class AzureContainer
{
    private const int BytesPerSecond = 1024 * 1024; // the slowest way to the storage that is waited for
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(5);

    private readonly AzureBlobsOptions _options;
    private readonly TimeProvider _time;
    private readonly RegistryMetrics? _metrics;
    private readonly string _prefix;

    public AzureContainer(
        AzureBlobsOptions options, TokenCredential? credential, TimeProvider time, RegistryMetrics? metrics = null)
    {
        _metrics = metrics;
        _options = options;
        _time = time;
        _prefix = options.Prefix.Trim('/') is { Length: > 0 } prefix ? prefix + "/" : "";
        Service = AzureAccount.Connect(options, credential);
        Client = Service.GetBlobContainerClient(options.Container);
    }

    public BlobServiceClient Service { get; }

    public BlobContainerClient Client { get; }

    /// <summary>The container's address, without any secret.</summary>
    public string Address => Client.Uri.GetLeftPart(UriPartial.Path);

    public string Prefixed(string name) => _prefix + name;

    public BlockBlobClient Blob(string name) => Client.GetBlockBlobClient(_prefix + name);

    /// <summary>
    /// Makes a call until it succeeds, or fails for a reason that does not pass, or has failed for too long. A failure that
    /// the call itself has no answer to becomes a <see cref="StorageException"/>.
    /// </summary>
    /// <param name="call">
    /// Is told whether an attempt before may have taken effect although it failed: what it finds then may be its own work.
    /// </param>
    /// <param name="cancellationToken">Ends it at once; what came of the attempt is unknown then.</param>
    /// <param name="bytes">How many go with it.</param>
    public async ValueTask<T> CallAsync<T>(
        Func<bool, CancellationToken, Task<T>> call, CancellationToken cancellationToken, long bytes = 0)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var started = _time.GetTimestamp();
        var mayHaveHappened = false;
        for (var pause = FirstPause; ; pause = TimeSpan.FromTicks(Math.Min(pause.Ticks * 2, LongestPause.Ticks)))
        {
            try
            {
                return await OnceAsync(token => call(mayHaveHappened, token), cancellationToken, bytes);
            }
            catch (Exception e) when (AzureProblem.IsOne(e) && !cancellationToken.IsCancellationRequested)
            {
                var wait = (AzureProblem.RetryAfter(e) ?? TimeSpan.Zero) + (pause * (0.5 + Random.Shared.NextDouble()));
                if (!AzureProblem.IsPassing(e) || _time.GetElapsedTime(started) + wait > _options.RetryFor)
                {
                    throw new StorageException(AzureProblem.Describe(e, Address), e) { IsRefused = AzureProblem.IsAccessDenied(e) };
                }

                mayHaveHappened = true;
                _metrics?.StoreRetried();
                await Task.Delay(wait, _time, cancellationToken);
            }
        }
    }

    /// <summary>Waits for a turn, for as long as one call may take with its repetitions.</summary>
    /// <exception cref="StorageException">It did not come in time: the storage is slow.</exception>
    public async ValueTask WaitAsync(SemaphoreSlim turns, CancellationToken cancellationToken)
    {
        var most = _options.RetryFor + _options.Timeout;
        using var patience = new CancellationTokenSource(most, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancellationToken);
        try
        {
            await turns.WaitAsync(either.Token);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new StorageException($"{Address} is slower than what is asked of it: a call has waited {most.TotalSeconds:0} s for its turn.", e);
        }
    }

    /// <summary>One attempt, which may take so long and no longer.</summary>
    public async Task<T> OnceAsync<T>(
        Func<CancellationToken, Task<T>> call, CancellationToken cancellationToken, long bytes = 0)
    {
        using var patience = new CancellationTokenSource(
            _options.Timeout + TimeSpan.FromSeconds(bytes / BytesPerSecond), _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancellationToken);
        try
        {
            return await call(either.Token);
        }
        catch (OperationCanceledException e) when (patience.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException($"no answer within {_options.Timeout.TotalSeconds:0.#} s", e);
        }
    }
}
