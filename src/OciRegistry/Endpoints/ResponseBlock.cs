using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;

namespace OciRegistry.Endpoints;

/// <summary>The memory that a response's body is written to, so much of it as is sent at once.</summary>
internal static class ResponseBlock
{
    private const int Size = 64 * 1024;

    /// <summary>The next memory of the response: 64 KiB, or less where less is left, or where the connection gives smaller blocks.</summary>
    /// <remarks>
    /// A connection that has blocks of this size has smaller ones when most of them are in use. Whoever asks it for a large one gets it
    /// all the same, and clients decide how many ask: over HTTP/2 one connection has 100 answers that may wait to be read.
    /// </remarks>
    /// <param name="context">The request.</param>
    /// <param name="left">Bytes of the body that are still to come.</param>
    /// <param name="isCostly">Whether each piece is a call to the storage: then it is not smaller than it must be.</param>
    public static Memory<byte> Next(HttpContext context, long left, bool isCostly = false)
    {
        var isChosenByConnection = !isCostly && context.Features.Get<IMemoryPoolFeature>()?.MemoryPool.MaxBufferSize >= Size;
        var memory = context.Response.BodyWriter.GetMemory(isChosenByConnection ? 0 : (int)Math.Min(Size, left));
        return memory[..(int)Math.Min(Math.Min(memory.Length, Size), left)];
    }
}
