using System.Diagnostics;
using OciRegistry.Storage;
using OciRegistry.Tests.Operations;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Storage;

public sealed class MeasuredBlobStoreTests : BlobStoreContract, IDisposable
{
    private readonly FileSystemStorage _storage = new();
    private readonly MeteredRegistry _registry = new();

    public void Dispose()
    {
        _registry.Dispose();
        _storage.Dispose();
    }

    [Fact]
    public async Task Content_is_still_a_file_that_can_be_sent_as_it_is()
    {
        var key = new StagedKey(UploadSessionId.New(), 0);
        await using (var staged = await OpenUploads().OpenAsync(key, 0, default))
        {
            await staged!.AppendAsync("content"u8.ToArray(), default);
        }

        var digest = Digest.Of("content"u8);
        (await OpenUploads().PublishAsync(key, digest, 7, default)).ShouldBe(PublishResult.Published);

        await using var blob = await OpenBlobs().OpenReadAsync(digest, 0, 7, default);

        blob!.File.ShouldNotBeNull();
    }

    protected override IBlobStore OpenBlobs() => new MeasuredBlobStore(_storage.Blobs(), _registry.Metrics);

    protected override IUploadStore OpenUploads() => _storage.Uploads();

    protected override IDocumentStore OpenDocuments() => _storage.Documents();
}

public sealed class MeasuredUploadStoreTests : UploadStoreContract, IDisposable
{
    private readonly FileSystemStorage _storage = new();
    private readonly MeteredRegistry _registry = new();

    public void Dispose()
    {
        _registry.Dispose();
        _storage.Dispose();
    }

    protected override IUploadStore OpenUploads() => new MeasuredUploadStore(_storage.Uploads(), _registry.Metrics);

    protected override IBlobStore OpenBlobs() => _storage.Blobs();
}

public sealed class MeasuredDocumentStoreTests : DocumentStoreContract, IDisposable
{
    private const string Duration = "oci_registry_store_duration_seconds";
    private static readonly DocumentKey Key = new("folder", "name");

    private readonly FileSystemStorage _storage = new();
    private readonly MeteredRegistry _registry = new();

    public void Dispose()
    {
        _registry.Dispose();
        _storage.Dispose();
    }

    [Fact]
    public async Task Calls_are_counted_by_what_came_of_them_and_by_nothing_that_a_client_says()
    {
        var store = OpenStore();
        await store.WriteAsync(Key, "1"u8.ToArray(), WriteCondition.None, Durability.Synced, default);
        await store.ReadAsync(Key, default);
        await store.ReadAsync(Key with { Name = "another" }, default);
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(async () => await store.ReadAsync(Key, cancelled.Token));
        Directory.Move(_storage.Root.Locks, _storage.Root.Locks + ".away");
        await Should.ThrowAsync<StorageException>(async () => await store.ReadAsync(Key with { Name = "third" }, default));
        Directory.Move(_storage.Root.Locks + ".away", _storage.Root.Locks);

        Count("read", "ok").ShouldBe(2);
        Count("read", "cancelled").ShouldBe(1);
        Count("read", "failed").ShouldBe(1);
        Count("write", "ok").ShouldBe(1);
        _registry.Family(Duration).Samples.SelectMany(sample => sample.Labels.Keys).Distinct()
            .ShouldBe(["store", "operation", "outcome", "le"], ignoreOrder: true);
    }

    [Fact]
    public async Task A_call_that_takes_its_time_is_measured_to_its_end()
    {
        var answer = new TaskCompletionSource<Document?>();
        var running = new MeasuredDocumentStore(new Answers(answer.Task), _registry.Metrics).ReadAsync(Key, default);
        _registry.Family(Duration).Samples.ShouldBeEmpty();

        answer.SetException(new StorageException("down"));

        (await Should.ThrowAsync<StorageException>(async () => await running)).Message.ShouldBe("down");
        Count("read", "failed").ShouldBe(1);
    }

    [Fact]
    public async Task Calls_of_a_request_that_is_traced_are_spans_below_it_and_all_others_are_none()
    {
        using var spans = new SpanCapture();
        var store = OpenStore();
        await store.ReadAsync(Key, default);
        spans.Ours.ShouldBeEmpty();
        using (var request = new Activity("request").SetIdFormat(ActivityIdFormat.W3C).Start())
        {
            await store.ReadAsync(Key, default);
            Activity.Current.ShouldBe(request);
            await Should.ThrowAsync<StorageException>(async () =>
                await new MeasuredDocumentStore(new Answers(Task.FromException<Document?>(new StorageException("secret"))), _registry.Metrics)
                    .WriteAsync(Key, default, WriteCondition.None, Durability.Synced, default));
            Activity.Current.ShouldBe(request);

            spans.Of(request).Select(span => (span.DisplayName, span.Status, span.ParentSpanId)).ShouldBe(
            [
                ("documents read", ActivityStatusCode.Unset, request.SpanId),
                ("documents write", ActivityStatusCode.Error, request.SpanId),
            ]);
            var failed = spans.Of(request)[1];
            failed.TagObjects.ShouldBe([new("error.type", typeof(StorageException).FullName)]);
            failed.StatusDescription.ShouldBeNull();
        }
    }

    protected override IDocumentStore OpenStore() => new MeasuredDocumentStore(_storage.Documents(), _registry.Metrics);

    protected override IEnumerable<string> Leftovers() => _storage.Leftovers();

    private double Count(string operation, string outcome) => _registry.Family(Duration).Samples.Single(sample =>
        sample.Name == $"{Duration}_count"
        && sample.Labels["store"] == "documents"
        && sample.Labels["operation"] == operation
        && sample.Labels["outcome"] == outcome).Value;

    private sealed class Answers(Task<Document?> answer) : IDocumentStore
    {
        public ValueTask<Document?> ReadAsync(DocumentKey key, CancellationToken cancellationToken) => new(answer);

        public async ValueTask<string?> WriteAsync(
            DocumentKey key,
            ReadOnlyMemory<byte> content,
            WriteCondition condition,
            Durability durability,
            CancellationToken cancellationToken) => (await answer)?.Version;

        public ValueTask<bool> DeleteAsync(
            DocumentKey key, WriteCondition condition, Durability durability, CancellationToken cancellationToken) =>
            throw new NotSupportedException();

        public ValueTask<IReadOnlyList<string>> ListAsync(
            string folder, string? after, int limit, CancellationToken cancellationToken) => throw new NotSupportedException();

        public ValueTask<bool> AnyAsync(string folder, CancellationToken cancellationToken) => throw new NotSupportedException();

        public ValueTask<bool> ExistsAsync(DocumentKey key, CancellationToken cancellationToken) => throw new NotSupportedException();
    }
}
