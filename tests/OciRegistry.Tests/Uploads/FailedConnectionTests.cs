using System.IO.Pipelines;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using OciRegistry.Auth;
using OciRegistry.Tests.Support;
using OciRegistry.Uploads;

namespace OciRegistry.Tests.Uploads;

/// <summary>Bodies whose connection fails while their upload waits for more: an HTTP/2 client can have it fail by one wrong frame.</summary>
public sealed class FailedConnectionTests
{
    [Fact]
    public async Task A_body_that_can_no_longer_be_woken_harms_neither_the_timer_nor_the_server()
    {
        var time = new ManualTimeProvider();
        await using var registry = await RegistryApp.StartAsync(services: services => services.Replace(ServiceDescriptor.Singleton<TimeProvider>(time)));
        var repository = RegistryClient.NewRepository();
        var location = await registry.Http.NewUploadAsync(repository);
        UploadSessionId.TryParse(location.Split('?')[0].Split('/')[^1], out var session).ShouldBeTrue();
        using var leaving = new CancellationTokenSource();
        var body = new FailedBody();
        var appending = registry.Services.GetRequiredService<UploadSessions>().AppendAsync(
            new UploadOwner(RepositoryName.Parse(repository), Caller.AnonymousSubject),
            session,
            new UploadClaim(0, null),
            "request",
            body,
            leaving.Token).AsTask();
        await Until.DoneAsync(body.IsRead);

        // On a timer's thread an exception ends the process; here it would come out of the time itself.
        Should.NotThrow(() => time.Advance(TimeSpan.FromMinutes(1)));
        Should.NotThrow(leaving.Cancel);
        body.WakeUps.ShouldBeGreaterThan(1);

        body.Fail();
        await Should.ThrowAsync<IOException>(() => Until.DoneAsync(appending));
        await registry.Http.PushImageAsync(repository, "v1");
    }

    /// <summary>As Kestrel's reader is when the connection of its stream has failed.</summary>
    private sealed class FailedBody : PipeReader
    {
        private readonly TaskCompletionSource<ReadResult> _read = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _isRead = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task IsRead => _isRead.Task;

        public int WakeUps { get; private set; }

        public void Fail() => _read.SetException(new IOException("The request stream was aborted."));

        public override void CancelPendingRead()
        {
            WakeUps++;
            throw new IOException("The request stream was aborted.");
        }

        public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
        {
            _isRead.TrySetResult();
            return new(_read.Task);
        }

        public override bool TryRead(out ReadResult result)
        {
            result = default;
            return false;
        }

        public override void AdvanceTo(SequencePosition consumed)
        {
        }

        public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
        {
        }

        public override void Complete(Exception? exception = null)
        {
        }
    }
}
