using System.Buffers;
using System.Threading.RateLimiting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Options;

namespace OciRegistry.Endpoints;

/// <summary>
/// Bodies that are held in memory as a whole: manifests, forms and JSON. All together take no more than
/// <see cref="LimitOptions.BufferedBytes"/>, and each takes what has arrived of it, whatever it announces. Some have a part for
/// themselves: small ones, as nearly all are, do not wait behind a few large ones; and forms of the token service, which any client
/// can send, take nothing from manifests. A quarter stays free for manifests that are read from the storage to be sent.
/// </summary>
internal sealed class BufferedBodies(IOptions<OciRegistryOptions> options, RegistryMetrics metrics, TimeProvider time) : IDisposable
{
    /// <summary>
    /// What a byte of a body is counted as: itself, and what is made of it while it is parsed and checked. Measured with
    /// manifests of nothing but descriptors, or of nothing but zeros.
    /// </summary>
    internal const int Weight = 4;

    /// <summary>What a body may take until its end has arrived.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private const int LargestSmall = 16 * 1024;
    private const int FirstCapacity = 1024;

    private static readonly TimeSpan Wait = TimeSpan.FromSeconds(5);

    private readonly TimeProvider _time = time;
    private readonly Budget _forms = new(options.Value.Limits.BufferedBytes / 16);
    private readonly Budget _small = new(options.Value.Limits.BufferedBytes / 16 * 3);
    private readonly Budget _large = new(options.Value.Limits.BufferedBytes / 2);

    /// <summary>Bytes that are counted now.</summary>
    internal long Used => _forms.Used + _small.Used + _large.Used;

    /// <summary>What bodies that are not small may be counted as at once, in bytes.</summary>
    internal int MostOfLarge => _large.Most;

    /// <summary>
    /// Reads the body of a request. Its memory is counted until the request has been answered.
    /// </summary>
    /// <param name="context">The request.</param>
    /// <param name="limit">Bytes that it may have.</param>
    /// <param name="tooLarge">The answer to more.</param>
    /// <param name="isForm">Whether anybody may send it.</param>
    /// <returns>
    /// Null when the request has been answered: the body is larger, which shows before it is read to its end; there was no
    /// memory for it within 5 s (503); its end did not come within 60 s (408).
    /// </returns>
    public async ValueTask<ReadOnlyMemory<byte>?> ReadAsync(
        HttpContext context, int limit, OciError tooLarge, bool isForm = false)
    {
        var announced = context.Request.ContentLength;
        if (announced > limit)
        {
            await context.WriteErrorAsync(tooLarge);
            return null;
        }

        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            size.MaxRequestBodySize = null; // our own limit is answered in the envelope
        }

        var body = new Body(this, limit, announced, isForm);
        context.Response.RegisterForDispose(body);
        using var patience = new CancellationTokenSource(Patience, _time);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, patience.Token);
        try
        {
            while (true)
            {
                var read = await context.Request.BodyReader.ReadAsync(ending.Token);
                if (body.Length + read.Buffer.Length > limit)
                {
                    context.Request.BodyReader.AdvanceTo(read.Buffer.End);
                    await context.WriteErrorAsync(tooLarge);
                    return null;
                }

                if (!await body.TryAppendAsync(read.Buffer, ending.Token))
                {
                    context.Request.BodyReader.AdvanceTo(read.Buffer.End);
                    await RefuseAsync(context);
                    return null;
                }

                context.Request.BodyReader.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted)
                {
                    metrics.BytesReceived(body.Length);
                    return body.Written;
                }
            }
        }
        catch (OperationCanceledException) when (patience.IsCancellationRequested && !context.RequestAborted.IsCancellationRequested)
        {
            RequestBody.CloseAfter(context);
            await context.WriteErrorAsync(OciError.Unsupported(
                $"The body did not arrive within {Patience.TotalSeconds:0} seconds. Send it again, faster.",
                StatusCodes.Status408RequestTimeout));
            return null;
        }
    }

    public void Dispose()
    {
        _forms.Dispose();
        _small.Dispose();
        _large.Dispose();
    }

    private async ValueTask RefuseAsync(HttpContext context)
    {
        metrics.BodyRefused();
        context.Response.Headers.RetryAfter = "5";
        await context.WriteErrorAsync(OciError.Unavailable(
            "The registry is holding as many manifests and other bodies in memory as it may. Try again in a few seconds."));
    }

    private sealed class Budget(int most) : IDisposable
    {
        private readonly ConcurrencyLimiter _limiter = new(new ConcurrencyLimiterOptions
        {
            PermitLimit = most,
            QueueLimit = most,
        });

        public int Most => most;

        public long Used => most - _limiter.GetStatistics()!.CurrentAvailablePermits;

        /// <summary>What is larger than all of it is counted as all of it.</summary>
        public int CountOf(long bytes) => (int)Math.Min(bytes, most);

        /// <summary>Null when there is no room now.</summary>
        public RateLimitLease? TryTake(int bytes)
        {
            var lease = _limiter.AttemptAcquire(bytes);
            if (lease.IsAcquired)
            {
                return lease;
            }

            lease.Dispose();
            return null;
        }

        /// <summary>Null when there is no room for 5 s.</summary>
        public async ValueTask<RateLimitLease?> TakeAsync(int bytes, TimeProvider time, CancellationToken cancellationToken)
        {
            if (TryTake(bytes) is { } taken)
            {
                return taken;
            }

            using var wait = new CancellationTokenSource(Wait, time);
            using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, wait.Token);
            try
            {
                var lease = await _limiter.AcquireAsync(bytes, ending.Token);
                if (lease.IsAcquired)
                {
                    return lease;
                }

                lease.Dispose(); // too many wait
                return null;
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                return null;
            }
        }

        public void Dispose() => _limiter.Dispose();
    }

    private sealed class Body(BufferedBodies bodies, int limit, long? announced, bool isForm) : IDisposable
    {
        private readonly List<RateLimitLease> _leases = [];
        private byte[] _bytes = [];
        private int _counted;
        private bool _isSmall = true;

        public int Length { get; private set; }

        public ReadOnlyMemory<byte> Written => _bytes.AsMemory(0, Length);

        /// <returns>False when there is no memory for it.</returns>
        public async ValueTask<bool> TryAppendAsync(ReadOnlySequence<byte> more, CancellationToken cancellationToken)
        {
            var needed = Length + (int)more.Length;
            if (needed > _bytes.Length && !await TryGrowAsync(needed, cancellationToken))
            {
                return false;
            }

            foreach (var segment in more)
            {
                segment.Span.CopyTo(_bytes.AsSpan(Length));
                Length += segment.Length;
            }

            return true;
        }

        public void Dispose() => _leases.ForEach(lease => lease.Dispose());

        private async ValueTask<bool> TryGrowAsync(int needed, CancellationToken cancellationToken)
        {
            var capacity = (int)Math.Min(
                Math.Max(needed, Math.Max(FirstCapacity, 2L * _bytes.Length)),
                Math.Max(needed, announced ?? limit));

            var isSmall = isForm || capacity <= LargestSmall;
            var budget = isForm ? bodies._forms : isSmall ? bodies._small : bodies._large;
            var counted = budget.CountOf((long)capacity * Weight);
            var more = isSmall == _isSmall ? counted - _counted : counted;
            if (more > 0)
            {
                if (await budget.TakeAsync(more, bodies._time, cancellationToken) is not { } lease)
                {
                    return false;
                }

                if (isSmall != _isSmall)
                {
                    Dispose();
                    _leases.Clear();
                }

                _leases.Add(lease);
                (_counted, _isSmall) = (counted, isSmall);
            }

            Array.Resize(ref _bytes, capacity);
            return true;
        }
    }
}
