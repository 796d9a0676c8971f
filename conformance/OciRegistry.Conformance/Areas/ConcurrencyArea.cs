namespace OciRegistry.Conformance.Areas;

/// <summary>
/// The spec orders the chunks of one session and says nothing of clients that race or send again. Jib sends the same
/// request again after a time-out and never retries a status, so the answer to a replay decides over its push.
/// </summary>
internal static class ConcurrencyArea
{
    private const int Rounds = 20;

    public static Area Area { get; } = new Area("Concurrency")
        .Should("end-6: one blob pushed by many at once is answered 201 to all", SameBlob)
        .Should("end-4b: one blob pushed by many single POSTs at once is stored for all", SameBlobByPost)
        .Should("end-7: one manifest pushed to one tag by many at once is answered 201 to all", SameManifest)
        .Should("end-7: tags pushed at once are all there", ManyTags)
        .Should("end-7: a tag that moves is always one manifest or the other, and never missing", MovingTag)
        .Should("end-12a: referrers pushed at once are all listed", ManyReferrers)
        .Should("end-11: one blob mounted by many at once is there for all", ManyMounts)
        .Must("end-5: of chunks racing at one offset exactly one is answered 202, the others 416", RacingChunks)
        .Should("end-6: a closing PUT sent again is answered 201", ReplayedPut)
        .Should("end-6: a closing PUT with its body sent again is answered 201", ReplayedPutWithBody)
        .Should("end-6: two closing PUTs at once are both answered 201", ConcurrentPuts)
        .May("end-5: a PATCH without range sent again to the same Location is not appended twice (Jib)", ReplayedPatch)
        .Should("end-2: a blob is whole for every reader from the moment it is visible", VisibleWhenWhole)
        .Should("end-10: deleting and pushing a blob at once ends with all of it or nothing", DeleteAgainstPush);

    private static async Task SameBlob(Repository repository)
    {
        var blob = Blob.Random(500_000);
        await Task.WhenAll(Enumerable.Range(0, Rounds).Select(async _ =>
        {
            var session = await repository.StartUploadAsync();
            session.Follow(await session.Append(blob.Bytes).Streamed().Answers(202));
            await session.Complete(blob.Digest).Answers(201);
            // Who was answered 201 can pull, whoever else is still pushing.
            await repository.HasBlobAsync(blob);
        }));
    }

    private static async Task SameBlobByPost(Repository repository)
    {
        var blob = Blob.Random(100_000);
        await Task.WhenAll(Enumerable.Range(0, Rounds).Select(async _ =>
        {
            var answer = await repository.Post($"blobs/uploads/?digest={blob.Digest}")
                .WithBody(blob.Bytes, "application/octet-stream").AnswersOneOf(201, 202);
            if (answer.Status == 202)
            {
                await new UploadSession(repository.Registry, answer).Complete(blob.Digest, blob.Bytes).Answers(201);
            }

            await repository.HasBlobAsync(blob);
        }));
    }

    private static async Task SameManifest(Repository repository)
    {
        var manifest = await repository.NewManifestAsync();
        await Task.WhenAll(Enumerable.Range(0, Rounds).Select(async _ =>
        {
            await repository.PutManifest(manifest, "v1").Answers(201);
            await repository.TagIsAsync("v1", manifest);
        }));
    }

    private static async Task ManyTags(Repository repository)
    {
        var manifest = await repository.NewManifestAsync();
        var tags = Enumerable.Range(0, Rounds).Select(i => $"t{i:00}").ToList();
        await Task.WhenAll(tags.Select(tag => repository.PutManifest(manifest, tag).Answers(201)));
        var (listed, last) = await Pages.AllAsync(repository.Get("tags/list"), "tags");
        if (!Pages.AreTheSame(listed, tags))
        {
            throw last.Failure($"{Rounds} tags, each once");
        }
    }

    private static async Task MovingTag(Repository repository)
    {
        Manifest[] manifests = [await repository.PushImageAsync("v1"), await repository.PushImageAsync("v1")];
        var writer = Task.Run(async () =>
        {
            for (var i = 0; i < 50; i++)
            {
                await repository.PutManifest(manifests[i % 2], "v1").Answers(201);
            }
        });
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            do
            {
                var answer = await repository.GetManifest("v1").Answers(200);
                var digest = answer.Header("Docker-Content-Digest");
                var manifest = manifests.FirstOrDefault(manifest => manifest.Digest.ToString() == digest)
                    ?? throw answer.Failure("the digest of one of the two");
                answer.HasBody(manifest.Bytes);
            }
            while (!writer.IsCompleted);
        })));
        await writer;
    }

    private static async Task ManyReferrers(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        await Task.WhenAll(Enumerable.Range(0, Rounds).Select(_ => repository.PushReferrerAsync(subject)));
        var answer = await repository.Get($"referrers/{subject.Digest}").Answers(200);
        if (answer.Json()["manifests"] is not JsonArray { Count: Rounds })
        {
            throw answer.Failure($"{Rounds} descriptors");
        }
    }

    private static async Task ManyMounts(Repository repository)
    {
        var blob = Blob.Random(1000);
        await repository.Second.PushAsync(blob);
        await Task.WhenAll(Enumerable.Range(0, Rounds).Select(async _ =>
        {
            await repository.Post($"blobs/uploads/?mount={blob.Digest}&from={repository.Second.Name}").Answers(201);
            await repository.HasBlobAsync(blob);
        }));
    }

    private static async Task RacingChunks(Repository repository)
    {
        for (var round = 0; round < Rounds; round++)
        {
            var session = await repository.StartUploadAsync();
            Blob[] rivals = [.. Enumerable.Range(0, 4).Select(_ => Blob.Random(20 * session.ChunkSize))];
            var answers = await Task.WhenAll(rivals.Select(rival => session.AppendAt(0, rival.Bytes).SendAsync()));
            foreach (var answer in answers)
            {
                answer.IsOneOf(202, 416);
            }

            var winners = rivals.Zip(answers).Where(pair => pair.Second.Status == 202).ToList();
            if (winners.Count != 1)
            {
                throw answers[0].Failure($"one 202 among 4 rivals, not {winners.Count} (round {round + 1})");
            }

            // The bytes are those of the one who was told so, never a mix.
            session.Follow(winners[0].Second);
            await session.Complete(winners[0].First.Digest).Answers(201);
            await repository.HasBlobAsync(winners[0].First);
        }
    }

    private static async Task ReplayedPut(Repository repository)
    {
        var blob = Blob.Random(50_000);
        var session = await repository.StartUploadAsync();
        session.Follow(await session.Append(blob.Bytes).Streamed().Answers(202));
        await session.Complete(blob.Digest).Answers(201);
        await session.Complete(blob.Digest).Answers(201, "the replay");
        await repository.HasBlobAsync(blob);
    }

    private static async Task ReplayedPutWithBody(Repository repository)
    {
        var blob = Blob.Random(50_000);
        var session = await repository.StartUploadAsync();
        await session.Complete(blob.Digest, blob.Bytes).Answers(201);
        await session.Complete(blob.Digest, blob.Bytes).Answers(201, "the replay");
        await repository.HasBlobAsync(blob);
    }

    private static async Task ConcurrentPuts(Repository repository)
    {
        for (var round = 0; round < Rounds; round++)
        {
            var blob = Blob.Random(50_000);
            var session = await repository.StartUploadAsync();
            session.Follow(await session.Append(blob.Bytes).Streamed().Answers(202));
            await Task.WhenAll(session.Complete(blob.Digest).Answers(201), session.Complete(blob.Digest).Answers(201));
            await repository.HasBlobAsync(blob);
        }
    }

    // The client read no answer in time, so it knows no other Location than that of the POST.
    private static async Task ReplayedPatch(Repository repository)
    {
        var blob = Blob.Random(50_000);
        var session = await repository.StartUploadAsync();
        await session.Append(blob.Bytes).Streamed().Answers(202);
        var replayed = await session.Append(blob.Bytes).Streamed().Answers(202, "the replay");
        replayed.Has("Range", $"0-{blob.Bytes.Length - 1}");
        session.Follow(replayed);
        await session.Complete(blob.Digest).Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task VisibleWhenWhole(Repository repository)
    {
        var blob = Blob.Random(4_000_000);
        var session = await repository.StartUploadAsync();
        var push = Task.Run(async () => await session.Complete(blob.Digest, blob.Bytes).Streamed().Answers(201));
        await Task.WhenAll(Enumerable.Range(0, 2).Select(_ => Task.Run(async () =>
        {
            do
            {
                if ((await repository.Get($"blobs/{blob.Digest}").AnswersOneOf(200, 404)) is { Status: 200 } answer)
                {
                    answer.HasLength(blob.Bytes.Length).HasBody(blob.Bytes);
                }
            }
            while (!push.IsCompleted);
        })));
        await push;
        await repository.HasBlobAsync(blob);
    }

    private static async Task DeleteAgainstPush(Repository repository)
    {
        var blob = Blob.Random(10_000);
        for (var round = 0; round < Rounds; round++)
        {
            await repository.PushAsync(blob);
            await Task.WhenAll(
                repository.PushAsync(blob),
                repository.Delete($"blobs/{blob.Digest}").AnswersOneOf(202, 404));
            if ((await repository.Get($"blobs/{blob.Digest}").AnswersOneOf(200, 404)) is { Status: 200 } answer)
            {
                answer.HasBody(blob.Bytes);
            }
        }
    }
}
