namespace OciRegistry.Conformance.Http;

/// <summary>A request whose body has stopped in the middle: the client is slow, or about to hang up.</summary>
internal sealed class HalfSentRequest : IAsyncDisposable
{
    private readonly RawConnection _connection;
    private readonly Request _request;
    private readonly int _sent;

    private HalfSentRequest(RawConnection connection, Request request, int sent)
    {
        _connection = connection;
        _request = request;
        _sent = sent;
    }

    /// <summary>Sends the head with the length of the whole body, and the first bytes of it.</summary>
    public static async Task<HalfSentRequest> SendAsync(Request request, int bytes)
    {
        var connection = await RawConnection.OpenAsync(request.Uri);
        await connection.WriteHeadAsync(request);
        await connection.WriteAsync(request.Content.AsMemory(0, bytes));
        return new HalfSentRequest(connection, request, bytes);
    }

    /// <summary>Sends the rest; a server that has answered already need not read it.</summary>
    public async Task<Answer> FinishAsync()
    {
        try
        {
            await _connection.WriteAsync(_request.Content.AsMemory(_sent));
        }
        catch (IOException)
        {
        }

        return await ReadAnswerAsync();
    }

    public Task<Answer> ReadAnswerAsync() => _connection.ReadAnswerAsync(_request);

    public void HangUp() => _connection.HangUp();

    public ValueTask DisposeAsync() => _connection.DisposeAsync();
}
